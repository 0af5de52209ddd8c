// A real carrier for a home of the test, its processes, and what ends all of it.
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { connectRelay } from "../../src/relay/client/relay-client.ts";
import type { OpenRequest, RelayControl, RelayedShare, RelayNotice } from "../../src/relay/relay.ts";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { createRecordingLogger, type RecordingLogger } from "../support/recording-logger.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";
import type { FakeNas } from "./fake-nas.ts";

export const signal = new AbortController().signal;

export interface CarrierBench {
  readonly home: string;
  readonly logger: RecordingLogger;
  /** A daemon's; disposed after the test at the latest. */
  connect(programPath?: string): RelayControl;
  /** A daemon's that confirms whatever is unconfirmed, and writes down what it is told. */
  connectConfirming(): { readonly carrier: RelayControl; readonly notices: RelayNotice[] };
  carriers(): Promise<readonly number[]>;
  keepers(): Promise<readonly number[]>;
  /** The one that runs now; `but`: once it is another. */
  carrierPid(but?: number): Promise<number>;
  keeperPid(but?: number): Promise<number>;
}

/** `home`: where in a folder of the test. */
export async function startBench(t: Scope, home = "home"): Promise<CarrierBench> {
  // Hooks run in the order of their making: the folder goes when nobody writes into it any more.
  let endAll = async (): Promise<void> => {};
  t.after(() => endAll());
  const place = join(await temporaryFolder(t), home);
  await mkdir(place, { recursive: true });
  const connected: RelayControl[] = [];
  // What runs already is no part of it: a look at hundreds of others costs more than the carrier.
  const foreign = new Set(await readdir("/proc"));
  const logger = createRecordingLogger();
  const running = (script: string) => processesWith([script, place], foreign);
  const carriers = () => running("carrier.mjs");
  const keepers = () => running("keep.sh");
  const connect = (programPath?: string): RelayControl => {
    const carrier = connectRelay({
      home: place,
      clock: systemClock,
      logger,
      ...(programPath === undefined ? {} : { programPath }),
    });
    connected.push(carrier);
    return carrier;
  };
  endAll = async () => {
    for (const carrier of connected) await carrier[Symbol.asyncDispose]();
    // All at once, again and again: each starts another, and a launcher is about to be a carrier.
    await eventually(async () => {
      const left = await processesWith([place], foreign, true);
      for (const pid of left) kill(pid);
      return left.length === 0;
    });
  };
  const only = async (list: () => Promise<readonly number[]>, but = 0): Promise<number> =>
    eventually(async () => {
      const [pid, ...others] = await list();
      return others.length === 0 && pid !== but ? pid : null;
    });
  return {
    home: place,
    logger,
    connect,
    connectConfirming() {
      const carrier = connect();
      const notices: RelayNotice[] = [];
      carrier.onNotice((notice) => {
        notices.push(notice);
        if (notice.what === "unconfirmed") {
          const outage = carrier.shares.get(notice.share)?.outage ?? null;
          carrier.confirm(notice.share, outage, signal).catch(() => {});
        }
      });
      return { carrier, notices };
    },
    carriers,
    keepers,
    carrierPid: (but) => only(carriers, but),
    keeperPid: (but) => only(keepers, but),
  };
}

export function openRequest(share: string, nas: FakeNas, other?: FakeNas): OpenRequest {
  return {
    share,
    kind: "rclone",
    route: "tb",
    endpoints: { tb: nas.endpoint, ...(other === undefined ? {} : { fallback: other.endpoint }) },
    patienceMs: 30_000,
    wantedPort: null,
  };
}

export async function untilShare(
  carrier: RelayControl,
  share: string,
  wanted: (state: RelayedShare) => boolean,
): Promise<RelayedShare> {
  return eventually(async () => {
    const state = (await carrier.refresh(signal)).get(share);
    return state !== undefined && wanted(state) ? state : null;
  });
}

export function kill(pid: number, name: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/** Those whose arguments hold all of these, and that are no zombies. */
async function processesWith(
  parts: readonly string[],
  foreign: Set<string>,
  launchers = false,
): Promise<readonly number[]> {
  const found: number[] = [];
  const names = await readdir("/proc");
  // The number of one that has ended may be given again.
  for (const name of foreign) if (!names.includes(name)) foreign.delete(name);
  for (const name of names) {
    if (foreign.has(name) || !/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    const [interpreter = "", ...rest] = line.split("\0");
    // It is one of these for an instant only.
    const isLauncher = rest[0]?.endsWith("/run.sh") === true;
    if (interpreter === "" || (isLauncher && !launchers)) continue;
    if (parts.every((part) => rest.some((argument) => argument === part || argument.endsWith(`/${part}`))))
      found.push(Number(name));
  }
  return found;
}
