// The contract of all links to backends, held against a tunnel over a real nats-server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Calls, startCalls } from "../../../src/fleet/calls/calls.ts";
import type { Borrowed } from "../../../src/fleet/calls/switchboard.ts";
import type { OpenLink } from "../../../src/gateway/backends/links/backend-link.ts";
import { openStreamLink } from "../../../src/gateway/backends/links/stream/stream-link.ts";
import { silentLogger as logger } from "../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { testLinkContract } from "../../gateway/backends/links/link-contract.ts";
import { eventually } from "../../support/eventually.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { forWholeFile } from "../../support/whole-file.ts";
import { type NatsRig, needsNats, startNats } from "../nats-rig.ts";

const ECHO = fileURLToPath(new URL("../../gateway/backends/programs/link-echo.ts", import.meta.url));

function machine(
  t: Scope,
  rig: NatsRig,
  name: string,
  more: { readonly serve?: Parameters<typeof startCalls>[0]["serve"]; readonly import?: readonly string[] },
): { readonly calls: Calls; readonly borrowed: () => readonly Borrowed[] } {
  const { serve = () => {}, import: imported = [] } = more;
  let borrowed: readonly Borrowed[] = [];
  const calls = startCalls({
    config: {
      name,
      servers: [rig.url],
      credentials: { kind: "environment", variable: "FLEET_KEY" },
      tlsCa: null,
      operator: null,
      export: more.serve === undefined ? [] : ["echo"],
      import: imported,
    },
    values: { FLEET_KEY: rig.key(name).seed },
    clock,
    logger,
    redact() {},
    lent: () => ["echo"],
    serve,
    onBorrowed: (backends) => {
      borrowed = backends;
    },
  });
  t.after(() => calls.end(0));
  return { calls, borrowed: () => borrowed };
}

/** Who lends an echo server for each tunnel, and who borrows it. */
const machines = forWholeFile(async (t) => {
  const rig = await startNats(t);
  machine(t, rig, "desktop", {
    serve(_machine, _backend, stream) {
      const child = spawn(process.execPath, [ECHO], { stdio: ["pipe", "pipe", "inherit"] });
      stream.pipe(child.stdin).on("error", () => {});
      child.stdout.pipe(stream);
      stream.once("close", () => child.kill());
      t.after(async () => {
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      });
    },
  });
  const { calls, borrowed } = machine(t, rig, "laptop", { import: ["*"] });
  const open = (backend: Borrowed): OpenLink =>
    openStreamLink({ open: (onEnd) => calls.open(backend, onEnd), clock });
  return { open, borrowed };
});

async function echo(): Promise<OpenLink> {
  const { open, borrowed } = await machines();
  return open(await eventually(() => borrowed()[0]));
}

async function nothing(): Promise<OpenLink> {
  const { open } = await machines();
  return open({ machine: "nas", backend: "echo", instance: "0".repeat(16) });
}

if (needsNats.skip === false) {
  testLinkContract({ name: "G1 a tunnel to another machine", tellsStream: false, echo, nothing });
}
