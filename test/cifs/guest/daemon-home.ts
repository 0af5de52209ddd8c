// A home of the product in the guest: its configuration, and what a daemon says of it.
import { rm } from "node:fs/promises";
import path from "node:path";
import type { ShareStatus } from "../../../src/api/contract/contract.ts";
import { createTestHome, type Monitor, type TestHome } from "../../support/daemon.ts";
import { ANSWERS_MS, eventually } from "../../support/eventually.ts";
import { HOSTS, PASSWORD } from "./nas.ts";
import { must, prefixFor, run, type Who } from "./run.ts";
import { note } from "./verdicts.ts";

export interface GuestShare {
  readonly name: string;
  /** On the server; default: its name. */
  readonly shareName?: string;
  readonly hosts?: { readonly tb: string; readonly fallback: string };
  /** More lines of its section. Default: the right user and password. */
  readonly lines?: readonly string[];
}

export interface GuestHome {
  readonly who: Who;
  readonly home: TestHome;
  /** Starts the daemon; whoever calls ends it. */
  start(): Promise<Monitor>;
  /** The path that people use. */
  at(share: string, ...parts: readonly string[]): string;
  /** The configuration with these shares alone, as a person edits it. */
  keepOnly(names: readonly string[]): Promise<void>;
  /** Until it is mounted over that route and a file can be read by its path; the milliseconds that took. */
  untilOver(share: string, route: "tb" | "fallback", expectedMs: number): Promise<number>;
  until(share: string, holds: (share: ShareStatus) => boolean, expectedMs: number): Promise<ShareStatus>;
  /** The newest lines of the logs, for whoever looks into a failure. */
  logs(): Promise<string>;
}

export const ACCOUNT = ['username = "ann"', 'password = "${NAS_PASSWORD}"'];
/** How long the product may take for what the suite asks: the guest may be ten times as slow as a real machine. */
export const PATIENT_MS = 90_000;
/** Each look has the server start two processes, and a host that lives may answer late. */
const SLOW_MACHINE = { check_interval_secs: 3, connect_timeout_ms: 2_500, mount_hang_secs: 30 };
const STARTS_AT_MOST = 3;
/** A look costs the guest what a look costs nobody on a real machine. */
const BETWEEN_LOOKS_MS = 250;

export interface GuestHomeOptions {
  readonly who: Who;
  readonly settings: Readonly<Record<string, number | boolean | string>>;
  readonly shares: readonly GuestShare[];
}

export async function makeHome({ who, settings, shares }: GuestHomeOptions): Promise<GuestHome> {
  const folder = who === "root" ? "/root/mountaineer" : "/home/ann/mountaineer";
  const links = path.join(path.dirname(folder), "Shares");
  await must(["mkdir", "-p", folder, links], { as: who });
  // What an earlier chapter asked for (`unmount` is remembered) is not this one's.
  await rm(path.join(folder, "state.json"), { force: true });
  const text = (kept: readonly GuestShare[]): string =>
    `${[
      "[global]",
      `shares_root = "${links}"`,
      ...Object.entries({ ...SLOW_MACHINE, ...settings }).map(
        ([key, value]) => `${key} = ${JSON.stringify(value)}`,
      ),
      ...kept.flatMap(({ name, shareName = name, hosts = HOSTS, lines = ACCOUNT }) => [
        "[[shares]]",
        `name = "${name}"`,
        `share_name = "${shareName}"`,
        'driver = "cifs"',
        `thunderbolt_host = "${hosts.tb}"`,
        `fallback_host = "${hosts.fallback}"`,
        ...lines,
      ]),
    ].join("\n")}\n`;
  const home = await createTestHome({
    home: folder,
    config: text(shares),
    enter: prefixFor(who),
    env: { NAS_PASSWORD: PASSWORD, WRONG_PASSWORD: "not-this-one", HOME: path.dirname(folder) },
  });
  if (who === "ann") await must(["chown", "-R", "ann:", folder]);
  const self: GuestHome = {
    who,
    home,
    async start() {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await home.startMonitor();
        } catch (error) {
          // It gives up where a file takes seconds to read, as in a guest on a machine that is busy.
          if (attempt === STARTS_AT_MOST) throw error;
        }
      }
    },
    keepOnly: (names) => home.writeConfig(text(shares.filter(({ name }) => names.includes(name)))),
    at: (share, ...parts) => path.join(links, share, ...parts),
    async until(name, holds, expectedMs) {
      let last: unknown = null;
      const look = async (): Promise<ShareStatus | null> => {
        const report = await home.glance();
        const share = report?.shares.find((each) => each.name === name);
        last = share ?? report;
        return share !== undefined && holds(share) ? share : null;
      };
      try {
        return await eventually(look, Math.max(expectedMs, ANSWERS_MS), BETWEEN_LOOKS_MS);
      } catch (error) {
        note(await self.logs());
        throw new Error(`share ${name} did not come to that: ${JSON.stringify(last)}`, { cause: error });
      }
    },
    async logs() {
      const files = LOGS.map((name) => path.join(folder, name));
      return (await run(["tail", "-n", "25", ...files])).out;
    },
    async untilOver(share, route, expectedMs) {
      const startedAt = performance.now();
      await self.until(share, (one) => one.active_interface === route && one.mount_alive, expectedMs);
      await eventually(
        () => must(["cat", self.at(share, "marker.txt")], { as: who, deadlineMs: 5_000 }),
        Math.max(expectedMs, ANSWERS_MS),
        BETWEEN_LOOKS_MS,
      );
      return Math.round(performance.now() - startedAt);
    },
  };
  return self;
}

const LOGS = ["mountaineer.log", "carrier/carrier.log"];
