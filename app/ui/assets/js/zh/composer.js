export const CHINESE = {
  "Explain in three sentences why the sky is blue.": "用三句话解释天空为什么是蓝色的。",
  "Explain simply": "简单解释",
  "List five ideas for a rainy afternoon at home.": "列出雨天下午在家可以做的五件事。",
  "Make a list": "列个清单",
  "Make this sentence friendlier: Send me the report today.": "把这句话改得更友好：今天把报告发给我。",
  "Say it better": "换个说法",
  "The starter model is tiny: quick and private, but it often gets facts wrong.":
    "自带的模型很小：快速而私密，但常会弄错事实。",
  "What shall we talk about?": "今天聊点什么？",
  "Write a little": "写点东西",
  "Write a short poem about a campfire on a cold night.": "写一首短诗，关于寒夜里的篝火。",
};
