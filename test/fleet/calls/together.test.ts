// Tools that several machines have in common: real gateways with real servers, on a real nats-server.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { BackendConfig } from "../../../src/config/snapshot.ts";
import { eventually } from "../../support/eventually.ts";
import { type NatsRig, natsTest } from "../nats-rig.ts";
import { linesOf, startClient, startMachine, startMachineProcess, textOf, toolsBackend } from "./machines.ts";

const TOOLS = ["echo", "slow", "ask", "large", "grow", "die"];
const REQUIRES = [{ share: "CORE", folder: null }];

async function placeOf(
  rig: NatsRig,
  machine: string,
): Promise<{ sharesRoot: string; backend: BackendConfig; written: string }> {
  const sharesRoot = join(rig.folder, machine, "Shares");
  await mkdir(join(sharesRoot, "CORE"), { recursive: true });
  const written = join(sharesRoot, "CORE", "calls");
  const backend = { ...toolsBackend("files", written), requires: REQUIRES, unavailableAfterMs: 60_000 };
  return { sharesRoot, backend, written };
}

function lender(name: string, { backend, sharesRoot }: Awaited<ReturnType<typeof placeOf>>) {
  return { name, backends: [backend], exports: ["files"], sharesRoot };
}

natsTest(
  "G1 tools of two machines are one: a call goes where the share is mounted best, under one name",
  async (t, rig) => {
    const desktop = await placeOf(rig, "desktop");
    const desktopRuns = await startMachineProcess(t, rig, lender("desktop", desktop));
    const own = await placeOf(rig, "laptop");
    const audit = join(rig.folder, "audit.jsonl");
    const laptop = await startMachine(t, rig, {
      name: "laptop",
      backends: [own.backend],
      imports: ["*"],
      together: ["desktop"],
      sharesRoot: own.sharesRoot,
      config: {
        audit: { path: audit, maxSizeBytes: 1_000_000, keep: 1, includeArguments: false, redact: [] },
      },
    });
    const places = () => laptop.gateway.together.placesOf(["files", "files@desktop"]);
    await eventually(
      () =>
        laptop.gateway.view().backends.every(({ phase }) => phase === "Ready") &&
        places()[1]?.readiness === "ready",
    );
    const client = await startClient(t, laptop.gateway);
    await eventually(() => laptop.gateway.entries().tools[0]?.places?.length === 2);
    assert.deepEqual(laptop.names(), TOOLS);
    const changes = () =>
      client.heard.filter(({ method }) => method === "notifications/tools/list_changed").length;
    const before = changes();

    assert.equal(textOf(await client.call("echo", { mark: "1" })), "1");
    assert.deepEqual(await linesOf(own.written), ["echo 1"]);

    laptop.mount("fallback");
    const path = join(own.sharesRoot, "CORE", "calls", "x");
    const theirs = join(desktop.sharesRoot, "CORE", "calls", "x");
    assert.equal(textOf(await client.call("echo", { mark: path })), theirs);
    assert.deepEqual(await linesOf(desktop.written), [`echo ${theirs}`]);
    const elsewhere = join(own.sharesRoot, "OTHER", "x");
    assert.equal(textOf(await client.call("echo", { mark: elsewhere })), elsewhere);

    desktopRuns.mount("none");
    await eventually(() => places()[0]?.machine === null);
    assert.equal(textOf(await client.call("echo", { mark: theirs })), path);
    desktopRuns.mount("fallback");
    laptop.mount("none");
    await eventually(() => places()[0]?.machine === "desktop");
    assert.equal(textOf(await client.call("echo", { mark: "2" })), "2");
    assert.equal((await linesOf(desktop.written)).at(-1), "echo 2");
    const audited = await eventually(async () => {
      const records = (await linesOf(audit)).map((line) => JSON.parse(line));
      const calls = records.filter(({ method }) => method === "tools/call");
      return calls.length === 5 && calls.map(({ backend }) => backend);
    });
    assert.deepEqual(audited, ["files", "files@desktop", "files@desktop", "files", "files@desktop"]);

    // Nobody has it: the call waits for the first that does.
    desktopRuns.mount("none");
    await eventually(() => places().every(({ readiness }) => readiness !== "ready"));
    const waiting = client.call("echo", { mark: "3" });
    laptop.mount("tb");
    assert.equal(textOf(await waiting), "3");
    assert.equal((await linesOf(own.written)).at(-1), "echo 3");

    await desktopRuns.kill();
    await eventually(() => laptop.gateway.view().backends.length === 1);
    assert.deepEqual(laptop.names(), TOOLS);
    assert.equal(textOf(await client.call("echo", { mark: theirs })), path, "its paths are still understood");
    assert.equal(changes(), before, "no list was another for a client");
  },
);

natsTest(
  "G1 without a backend here the common name stays, whoever comes and goes; a killed machine's calls go on",
  async (t, rig) => {
    const [desktop, nas] = [await placeOf(rig, "desktop"), await placeOf(rig, "nas")];
    const first = await startMachineProcess(t, rig, lender("desktop", desktop));
    const laptop = await startMachine(t, rig, {
      name: "laptop",
      backends: [],
      imports: ["*"],
      together: ["*"],
      sharesRoot: join(rig.folder, "laptop"),
    });
    const names = TOOLS.map((tool) => `files_${tool}`).toSorted();
    await eventually(() => laptop.names().length === names.length);
    assert.deepEqual(laptop.names(), names);
    const client = await startClient(t, laptop.gateway);
    await startMachineProcess(t, rig, lender("nas", nas));
    await eventually(() => laptop.gateway.entries().tools[0]?.places?.length === 2);
    assert.equal(textOf(await client.call("files_echo", { mark: "1" })), "1");
    assert.deepEqual(await linesOf(desktop.written), ["echo 1"]);
    await first.kill();
    await eventually(() => laptop.gateway.entries().tools[0]?.places?.length === 1);
    assert.equal(textOf(await client.call("files_echo", { mark: "2" })), "2");
    assert.deepEqual(await linesOf(nas.written), ["echo 2"]);
    assert.deepEqual(laptop.names(), names);
    const changes = client.heard.filter(({ method }) => method === "notifications/tools/list_changed");
    assert.deepEqual(changes, []);
  },
);
