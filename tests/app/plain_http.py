"""Requests to the servers of tests, by httpx without the certificates of all authorities: to read them takes longer
than any of these requests."""

from __future__ import annotations

from functools import partial

import httpx

get = partial(httpx.get, verify=False, trust_env=False)
post = partial(httpx.post, verify=False, trust_env=False)
request = partial(httpx.request, verify=False, trust_env=False)
