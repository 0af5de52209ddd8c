// How long a user's sign-in to an own account lives, and where it is served.
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { AccountSignIns } from "../../../src/gateway/authorization-server/account-sign-ins.ts";
import { OAuthError } from "../../../src/gateway/authorization-server/answer.ts";
import type { ClientHandle } from "../../../src/gateway/client-handle.ts";
import { readLocalUsers, TokensUsed } from "../../../src/gateway/middleware/incoming-auth.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { accountOf } from "../../../src/secrets/reference.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("E1 the address of a sign-in dies in ten minutes, is served at the base where it was given, and ends with its user", async () => {
  const clock = createManualClock();
  const ben = { name: "ben", roles: [], token: { kind: "environment", variable: "BEN" } } as const;
  const read = (all: readonly (typeof ben)[]) =>
    readLocalUsers(
      all,
      { BEN: "a-token" },
      () => {},
      new TokensUsed(),
      () => 0,
    );
  let [users, served] = [read([ben]), "far"];
  const signIns = new AccountSignIns({
    clock,
    users: () => users,
    hasAccounts: (backend) => backend === served,
    begin: () => Promise.reject(new Error("not begun here")),
    connected: () => {},
    record: () => {},
  });
  const client = { capabilities: {} } as ClientHandle;
  const account = { backend: "far", user: "ben", entry: accountOf("ben", sha256Of("a-token")) };
  const base = "https://team.example.com/gateway";
  const statusAt = async (address: string, at: string): Promise<number> => {
    const path = new URL(address).pathname.replace("/gateway", "");
    const endpoint = { base: at, mcp: `${at}/mcp`, path: "/mcp" };
    const request = { method: "GET", url: path, headers: {} } as IncomingMessage;
    const receive = () => Promise.resolve("");
    const answer = signIns.answer({ request, endpoint, path, mayType: () => true, receive });
    return (
      await answer.catch((error: unknown) => (error instanceof OAuthError ? error : Promise.reject(error)))
    ).status;
  };
  const address = signIns.addressFor(account, base, client);
  assert.equal(await statusAt(address, base), 200);
  assert.equal(await statusAt(address, "http://127.0.0.1:9000"), 410);
  await clock.advance(10 * 60_000 - 1);
  assert.equal(await statusAt(address, base), 200);
  await clock.advance(1);
  assert.equal(await statusAt(address, base), 410);
  const next = signIns.addressFor(account, base, client);
  assert.notEqual(next, address);
  served = "";
  assert.equal(await statusAt(next, base), 410, "its server has no accounts any longer");
  served = "far";
  const last = signIns.addressFor(account, base, client);
  users = read([]);
  assert.equal(await statusAt(last, base), 410);
});
