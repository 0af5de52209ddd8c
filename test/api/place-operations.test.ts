import assert from "node:assert/strict";
import test from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import type { AliasReport, FoldersReport } from "../../src/api/contract.ts";
import type { Control } from "../../src/api/operations.ts";
import { foldersRequest, readRequest } from "../../src/api/requests.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { assertRefused, get, post, startRig } from "./management-rig.ts";
import { sampleAlias } from "./sample-report.ts";

const NEVER = new AbortController().signal;

const ALIAS = sampleAlias();

type Places = Pick<Control, "aliases" | "reconcileAliases" | "folders">;

function scripted(): Places & { readonly calls: unknown[] } {
  const calls: unknown[] = [];
  const report: AliasReport = { aliases: [ALIAS] };
  return {
    calls,
    async aliases() {
      calls.push("aliases");
      return report;
    },
    async reconcileAliases() {
      calls.push("reconcile");
      return { aliases: [{ ...ALIAS, link: "taken", detail: "a file" }] };
    },
    async folders(request): Promise<FoldersReport> {
      calls.push(request);
      if (request.share === "HUNG")
        throw new MountaineerError("share_unavailable", "no answer", { hint: "wait" });
      if (request.share === "X") throw new MountaineerError("share_unknown", "no share");
      const { share, subpath = "" } = request;
      return { share, subpath, path: `/S/${share}`, folders: ["a", "b"], truncated: false };
    },
  };
}

test("A8 what a client asks reaches the daemon, and comes back as it was", async (t) => {
  const places = scripted();
  const { home } = await startRig(t, { places });
  const { ask } = (await connectToDaemon(home)) ?? assert.fail();
  assert.deepEqual(await ask("aliases", null, NEVER), { aliases: [ALIAS] });
  assert.equal((await ask("reconcileAliases", null, NEVER)).aliases[0]?.link, "taken");
  assert.deepEqual((await ask("folders", { share: "CORE", subpath: "ü" }, NEVER)).folders, ["a", "b"]);
  await assert.rejects(ask("folders", { share: "HUNG" }, NEVER), { code: "share_unavailable", hint: "wait" });
  await assert.rejects(ask("folders", { share: "X" }, NEVER), { code: "share_unknown" });
  assert.deepEqual(places.calls.slice(0, 3), ["aliases", "reconcile", { share: "CORE", subpath: "ü" }]);
});

test("what is asked wrongly is refused and never reaches it", async (t) => {
  const places = scripted();
  const { server } = await startRig(t, { places });
  const bodies = ["", "{}", '{"share":1}', '{"share":"a","subpath":null}', '{"share":"a","x":1}', "[]"];
  for (const body of bodies)
    assert.throws(() => readRequest(body, foldersRequest), { code: "protocol" }, body);
  await assertRefused(server, [
    [get("folders"), 405, /not served/],
    [post("aliases", ""), 405, /not served/],
    [post("aliases/other", ""), 404, /not served/],
    ...bodies.map((body) => [post("folders", body), 400, /share|subpath|body/] as const),
    [post("folders", '{"share":"HUNG"}'), 503, /no answer/],
  ]);
  assert.deepEqual(places.calls, [{ share: "HUNG" }]);
});

test("a server without places serves none", async (t) => {
  const { home } = await startRig(t);
  const client = await connectToDaemon(home);
  await assert.rejects(client?.ask("aliases", null, NEVER) ?? assert.fail(), { code: "protocol" });
});
