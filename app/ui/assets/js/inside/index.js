// All there is to see inside an answer: tabs of its panel, in their order, and pages of their own.

import { startViews } from "../view.js";
import { startAskCompare } from "./ask_compare.js";
import "./tokens.js";
import "./provenance.js";
import "./replay.js";
import "./look.js";
import "./compare.js";
import "./notebook.js";

/** Call once the frame stands. */
export function startInside() {
  startViews();
  startAskCompare();
}
