export const CHINESE = {
  "What you write is sent to {address}. Answers can be wrong.": "您写的内容会发送到 {address}。回答可能有误。",
  "Try now": "立即重试",
  "Choose another": "选择其他引擎",
  "Fireside does not answer.": "Fireside 没有响应。",
  "Address": "地址",
  "Key": "密钥",
  "as it is kept": "沿用已保存的密钥",
  "if it asks for one": "如需要密钥",
  "Look": "查看",
  "Looking…": "正在查看…",
  "An engine elsewhere": "其他地方的引擎",
  "A server that speaks OpenAI's API, such as vLLM, SGLang, llama.cpp's or another Fireside, writes the answers. What is asked is sent there; chats stay here.":
    "由提供 OpenAI API 的服务器（如 vLLM、SGLang、llama.cpp 或另一个 Fireside）来回答。问题会发送到那里；对话仍保存在这里。",
  "Back to this computer's engine": "改回这台电脑的引擎",
  "Answers come from {address}.": "回答来自 {address}。",
};
