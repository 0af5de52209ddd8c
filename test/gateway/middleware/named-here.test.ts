// What policies, the audit and each machine see of a path in a call of a tool that several machines have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isError, isJsonObject } from "../../../src/gateway/json-rpc.ts";
import { Together } from "../../../src/gateway/together/together.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { source } from "../catalog/sources.ts";
import { ask, recordingServices, servingSet } from "./requests.ts";

const HERE = "/home/ann/Shares";
const PLACE = { backend: "files", roots: ["CORE"], requires: [], standing: null, busy: 0 };

function stage(denied: string, busyHere = 0) {
  const together = new Together({
    clock: createManualClock(),
    pool: {
      readiness: () => "ready",
      inFlight: (backend) => (backend === "files" ? busyHere : 0),
      watch: () => () => {},
    },
    onChanged() {},
  });
  const lives = (sharesRoot: string): void =>
    together.notePlaces([{ ...PLACE, machine: "desktop", sharesRoot }]);
  lives("/Volumes/mnt");
  const args = [`${HERE}/CORE`, "/home/ann/docs"];
  const connection = { type: "stdio", command: "server", args, env: {}, cwd: "/" } as const;
  const files = source("files", { tools: ["read"] });
  const sources = together.merge(
    [files, { ...files, backend: "files@desktop" }],
    { backends: [backendConfig("files", { connection })], together: { sharesRoot: HERE, with: ["*"] } },
    () => ({ last: [], pending: [] }),
  );
  const services = { ...recordingServices(), together };
  const deny = { effect: "deny", roles: null, resources: ["tool:read"], methods: null } as const;
  const authorization = {
    defaultEffect: "allow",
    policies: [{ ...deny, arguments: { path: [denied] } }],
  } as const;
  const served = servingSet(sources, services, { authorization });
  const read = async (path: string): Promise<string | null> => {
    const before = services.calls.length;
    const reply = await ask(served, "tools/call", { name: "read", arguments: { path } });
    if (isError(reply)) return null;
    const { backend, params } = services.calls[before] ?? {};
    const given = params?.["arguments"];
    return `${backend} ${isJsonObject(given) ? String(given["path"]) : ""}`;
  };
  return { read, lives };
}

test("G1 a policy over paths holds for a path as another machine names it, wherever it is served", async () => {
  for (const busyHere of [0, 9]) {
    const { read } = stage(`${HERE}/CORE/secret/*`, busyHere);
    const [place, root] = busyHere === 0 ? ["files", HERE] : ["files@desktop", "/Volumes/mnt"];
    assert.equal(await read("/Volumes/mnt/CORE/open/x"), `${place} ${root}/CORE/open/x`);
    assert.equal(await read(`${HERE}/CORE/secret/x`), null);
    assert.equal(await read("/Volumes/mnt/CORE/secret/x"), null);
  }
});

test("G1 no machine leads a path of this one elsewhere by saying that it has its shares there", async () => {
  const { read, lives } = stage("/nothing");
  for (const folder of [`${HERE}/PRIVATE`, "/home/ann/docs"]) {
    lives(folder);
    assert.equal(await read(`${folder}/CORE/x`), `files ${folder}/CORE/x`);
  }
});
