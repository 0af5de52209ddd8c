"""Signs in at a gateway with the official Python SDK, and prints its tools as JSON: `python_sign_in.py URL`.

Prints the address that a browser opens, and reads the address to which the answer went."""
import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata


class Storage:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def redirect(url: str) -> None:
    print(url, flush=True)


async def callback() -> AuthorizationCodeResult:
    answer = parse_qs(urlsplit(await asyncio.to_thread(sys.stdin.readline)).query)
    return AuthorizationCodeResult(code=answer["code"][0], state=answer["state"][0], iss=answer["iss"][0])


async def main(url: str) -> None:
    metadata = OAuthClientMetadata(client_name="Python", redirect_uris=["http://127.0.0.1:3030/callback"])
    storage = Storage()
    auth = OAuthClientProvider(url, metadata, storage, redirect, callback)
    async with httpx2.AsyncClient(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = (await client.list_tools()).tools
    print(json.dumps({"tools": [tool.name for tool in tools], "expires": storage.tokens.expires_in}))


asyncio.run(main(sys.argv[1]))
