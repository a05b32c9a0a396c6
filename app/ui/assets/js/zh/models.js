export const CHINESE = {
  "Downloading {done} of {total}": "正在下载 {done}，共 {total}",
  "Downloading…": "正在下载…",
  "Loading…": "正在加载…",
  "Looking for the model…": "正在查找模型…",
  "Model progress": "模型进度",
  "{name}, {parameters} million parameters, {quantization}, on {device}":
    "{name}，{parameters} 百万参数，{quantization}，运行于 {device}",
};
