"""Accounts, login and keys."""

from __future__ import annotations

CHINESE = {
    "Log in": "登录",
    "Name": "用户名",
    "Password": "密码",
    "the name or the password is wrong": "用户名或密码错误",
    "too many attempts: try again in {seconds} seconds": "尝试次数过多：请在 {seconds} 秒后重试",
    "only an administrator can do that: ask one": "只有管理员可以这样做：请联系管理员",
}
