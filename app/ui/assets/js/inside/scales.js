// The colourings of tokens: what each measures, in eight steps from the unlikely to the sure.

import { t } from "../i18n.js";

export const STEPS = 8;
const MOST_BITS = 12;
const MOST_ENTROPY = 3;

/** From natural logarithms to bits. */
export const bits = (nats) => nats / Math.LN2;

export const inBits = (count) => t("{count} bits", { count });

const clamped = (share) => Math.max(0, Math.min(STEPS - 1, Math.floor(share * STEPS)));

/** A probability as people read it. */
export function percent(probability) {
  const share = probability * 100;
  if (share > 0 && share < 0.01) return "<0.01%";
  return `${share.toFixed(share < 1 ? 2 : 1)}%`;
}

/** Of each colouring: its name, what its ends are, and the step (0: unlikely, null: not known) of a token by its
 *  logarithm of probability and its entropy in nats. */
export const scales = () => ({
  probability: {
    label: t("Probability"),
    low: "0%",
    high: "100%",
    help: t("How likely the model held each token to be, before temperature and the like."),
    step: (logprob) => clamped(Math.exp(logprob)),
  },
  surprise: {
    label: t("Surprise"),
    low: inBits(`≥ ${MOST_BITS}`),
    high: inBits(0),
    help: t("Each bit halves the probability: this sets the rare apart from the very rare."),
    step: (logprob) => clamped(1 - bits(-logprob) / MOST_BITS),
  },
  entropy: {
    label: t("Entropy"),
    low: inBits(`≥ ${MOST_ENTROPY}`),
    high: inBits(0),
    help: t("How undecided the model was before each token, whichever came."),
    step: (logprob, entropy) => (entropy === null ? null : clamped(1 - bits(entropy) / MOST_ENTROPY)),
  },
});
