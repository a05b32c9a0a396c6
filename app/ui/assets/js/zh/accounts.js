export const CHINESE = {
  "{name}, administrator": "{name}（管理员）",
  "Log out": "退出登录",
  "Log in": "登录",
  "You are not logged in any more. What you have typed stays.": "您已退出登录。已输入的内容会保留。",
};
