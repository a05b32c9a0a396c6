export const CHINESE = {
  "Browser's language": "浏览器的语言",
  "Dark theme": "深色主题",
  "Fireside is not running. Your chats are kept; start it again to go on.":
    "Fireside 没有运行。您的对话都已保存，重新启动后即可继续。",
  "Light theme": "浅色主题",
  "System's theme": "跟随系统主题",
  "Theme and language": "主题和语言",
  "This chat was deleted in another tab. What you typed is still here.": "此对话已在另一个标签页中删除。您输入的内容仍在这里。",
  "Toggle sidebar": "显示或隐藏侧边栏",
  "ctx": "上下文",
  "{used} of {context} tokens of context used": "上下文已用 {used} / {context} 个词元",
};
