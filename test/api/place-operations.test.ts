import assert from "node:assert/strict";
import test from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import type { AliasReport, FoldersReport } from "../../src/api/contract.ts";
import { aliasStatusShape, foldersReportShape } from "../../src/api/contract.ts";
import type { PlaceControl } from "../../src/api/control.ts";
import { foldersRequest, readRequest } from "../../src/api/requests.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { startRig, talk } from "./management-rig.ts";
import { sampleAlias } from "./sample-report.ts";

const NEVER = new AbortController().signal;

const ALIAS = sampleAlias();

function scripted(): PlaceControl & { readonly calls: unknown[] } {
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

test("pin: the fields of what is told about places", () => {
  assert.deepEqual(Object.keys(aliasStatusShape.fields), [
    "name",
    "share",
    "target_subpath",
    "path",
    "target",
    "link",
    "detail",
  ]);
  assert.deepEqual(Object.keys(foldersReportShape.fields), [
    "share",
    "subpath",
    "path",
    "folders",
    "truncated",
  ]);
});

test("A8 what a client asks reaches the daemon, and comes back as it was", async (t) => {
  const places = scripted();
  const { home } = await startRig(t, { places });
  const client = (await connectToDaemon(home))?.places ?? assert.fail();
  assert.deepEqual(await client.aliases(NEVER), { aliases: [ALIAS] });
  assert.equal((await client.reconcileAliases(NEVER)).aliases[0]?.link, "taken");
  assert.deepEqual((await client.folders({ share: "CORE", subpath: "ü" }, NEVER)).folders, ["a", "b"]);
  await assert.rejects(client.folders({ share: "HUNG" }, NEVER), { code: "share_unavailable", hint: "wait" });
  await assert.rejects(client.folders({ share: "X" }, NEVER), { code: "share_unknown" });
  assert.deepEqual(places.calls.slice(0, 3), ["aliases", "reconcile", { share: "CORE", subpath: "ü" }]);
});

test("what is asked wrongly is refused and never reaches it", async (t) => {
  const places = scripted();
  const { server } = await startRig(t, { places });
  const ask = async (method: string, path: string, body = "") => {
    const head = `${method} /manage/v1/${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
    return talk(server.socketPath, `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  assert.equal((await ask("GET", "folders")).status, 405);
  assert.equal((await ask("POST", "aliases")).status, 405);
  assert.equal((await ask("POST", "aliases/other")).status, 404);
  for (const body of ["", "{}", '{"share":1}', '{"share":"a","subpath":null}', '{"share":"a","x":1}', "[]"]) {
    assert.equal((await ask("POST", "folders", body)).status, 400, body);
    assert.throws(() => readRequest(body, foldersRequest), { code: "protocol" }, body);
  }
  assert.equal((await ask("POST", "folders", '{"share":"HUNG"}')).status, 503);
  assert.deepEqual(places.calls, [{ share: "HUNG" }]);
});

test("a server without places serves none", async (t) => {
  const { home } = await startRig(t);
  const client = await connectToDaemon(home);
  await assert.rejects(client?.places.aliases(NEVER) ?? assert.fail(), { code: "protocol" });
});
