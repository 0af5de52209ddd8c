// A share that is mounted once and moved below that: by the product's own carrier where it has one, else by the suite's
// relay under a mount that the product's driver made.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { eventually } from "../../support/eventually.ts";
import { ACCOUNT, makeHome, PATIENT_MS } from "./daemon-home.ts";
import * as nas from "./nas.ts";
import { startRelay } from "./relay.ts";
import { must, run, type Who } from "./run.ts";
import { note } from "./verdicts.ts";

export interface Carrying extends AsyncDisposable {
  /** What moves it, and the line of the mount table. */
  readonly words: string;
  /** A path on the mount. */
  at(...parts: readonly string[]): string;
  /** Resolves when the new route serves. `cut`: the old one is silent from a moment before on. */
  move(to: nas.Route, how: "planned" | "cut"): Promise<void>;
  /** Takes both routes away; `release` gives them back. */
  hold(): Promise<void>;
  release(): Promise<void>;
  /** For whoever looks into a failure. */
  logs(): Promise<string>;
  /** The mount is gone when this resolves, and no file of it was open. */
  unmount(): Promise<void>;
}

export interface CarryingOptions {
  readonly who: Who;
  /** Has a carrier of its own. */
  readonly product: boolean;
}

/** In the one line of fstab that a user needs. */
export const FIXED_PORT = 24_450;
const SHARE = "CORE";
const BETWEEN_ASKS_MS = 500;
const DRIVE = path.join(import.meta.dirname, "drive.js");

export async function startCarrying(options: CarryingOptions): Promise<Carrying> {
  if (options.who === "ann") await writeFstab();
  return options.product ? byProduct(options) : byRelay(options);
}

/** The one line, as the documentation has it; `nobrl` for programs that lock, as it says, too. */
async function writeFstab(): Promise<void> {
  await writeFile("/home/ann/.nas", `username=${nas.USERNAME}\npassword=${nas.PASSWORD}\n`, { mode: 0o600 });
  await must(["chown", "ann:", "/home/ann/.nas"]);
  const options = `users,noauto,port=${FIXED_PORT},hard,nosharesock,echo_interval=21,nobrl,credentials=/home/ann/.nas`;
  await writeFile("/etc/fstab", `//127.0.0.1/${SHARE} ${mountPathFor("ann")} cifs ${options} 0 0\n`);
}

function mountPathFor(who: Who): string {
  return who === "ann" ? "/home/ann/mountaineer/volumes/CORE" : "/root/mountaineer/volumes/CORE";
}

async function byRelay({ who }: CarryingOptions): Promise<Carrying> {
  const mountPath = mountPathFor(who);
  const relay = await startRelay(FIXED_PORT);
  await must(["mkdir", "-p", path.dirname(mountPath)], { as: who });
  const drive = async (action: "mount" | "find" | "unmount"): Promise<Readonly<Record<string, unknown>>> => {
    const argv = [process.execPath, DRIVE, action, who, String(FIXED_PORT)];
    return objectOf(JSON.parse(await must(argv, { as: who, deadlineMs: PATIENT_MS })));
  };
  const done = async (action: "mount" | "unmount"): Promise<void> => {
    const { ok, text } = await drive(action);
    assert.equal(ok, true, String(text));
  };
  try {
    await done("mount");
    const { carriedPort, route, sameShare, source } = await drive("find");
    assert.deepEqual(
      [carriedPort, route, sameShare, source],
      [FIXED_PORT, "tb", true, `//${nas.HOSTS.tb}/${SHARE}`],
    );
  } catch (error) {
    await run(["umount", "-l", mountPath]);
    await relay[Symbol.asyncDispose]();
    throw error;
  }
  const [line = ""] = await nas.cifsMounts();
  return {
    words: `the suite's relay: ${line}`,
    at: (...parts) => path.join(mountPath, ...parts),
    async move(to, how) {
      const from = to === "tb" ? "fallback" : "tb";
      await nas.speak(to);
      if (how === "cut") await nas.silence(from);
      relay.move(to);
    },
    async hold() {
      relay.hold();
    },
    async release() {
      relay.move("tb");
    },
    logs: async () => "",
    unmount: () => done("unmount"),
    async [Symbol.asyncDispose]() {
      await run(["umount", "-l", mountPath]);
      await relay[Symbol.asyncDispose]();
    },
  };
}

async function byProduct({ who }: CarryingOptions): Promise<Carrying> {
  const scene = await makeHome({
    who,
    settings: { auto_failback: false, relay: "on" },
    shares: [{ name: SHARE, lines: who === "ann" ? [] : ACCOUNT }],
  });
  const monitor = await scene.start();
  try {
    const cli = async (...args: readonly string[]): Promise<void> => {
      const { code, stdout, stderr } = await scene.home.cli(args, PATIENT_MS);
      assert.equal(code, 0, `${stdout}${stderr}`);
    };
    await scene.untilOver(SHARE, "tb", PATIENT_MS);
    /** Where the guest is slow, the proof of both routes fails in its time, and the share is mounted without the relay. */
    const relayedLine = async (): Promise<string> => {
      const [line = ""] = await nas.cifsMounts();
      if (/addr=127\.0\.0\.1/.test(line)) return line;
      await cli("unmount", "--share", SHARE);
      await cli("mount", "--share", SHARE);
      await scene.untilOver(SHARE, "tb", PATIENT_MS);
      return assert.fail("it is not relayed");
    };
    const line = await eventually(relayedLine, 2 * PATIENT_MS, BETWEEN_ASKS_MS);
    /** Where the guest is slow, a proof may take longer than the product waits for it: a person asks again. */
    const switchTo = async (to: nas.Route): Promise<void> => {
      const ask = async (): Promise<true> => {
        const daemon = await connectToDaemon(scene.home.home);
        assert.ok(daemon !== null, "no daemon");
        const options = { to, force: false, wait: false };
        const results = (
          await daemon.call("switchRoute", { ...options, shares: [SHARE] }, AbortSignal.timeout(PATIENT_MS))
        ).results;
        assert.deepEqual(
          results.map(({ active_interface }) => active_interface),
          [to],
          JSON.stringify(results),
        );
        return true;
      };
      await eventually(ask, PATIENT_MS, BETWEEN_ASKS_MS);
    };
    return {
      words: `the product: ${line}`,
      at: (...parts) => scene.at(SHARE, ...parts),
      async move(to, how) {
        const from = to === "tb" ? "fallback" : "tb";
        await nas.speak(to);
        if (how === "cut") await nas.silence(from);
        else await switchTo(to);
        await scene.until(SHARE, (one) => one.active_interface === to, PATIENT_MS);
      },
      hold: async () => void (await Promise.all([nas.silence("tb"), nas.silence("fallback")])),
      async release() {
        await Promise.all([nas.speak("tb"), nas.speak("fallback")]);
        await scene.until(SHARE, (one) => one.mount_alive && one.last_error === null, PATIENT_MS);
      },
      logs: () => scene.logs(),
      unmount: () => cli("unmount", "--share", SHARE),
      async [Symbol.asyncDispose]() {
        await monitor[Symbol.asyncDispose]();
        await run(["umount", "-l", mountPathFor(who)]);
      },
    };
  } catch (error) {
    note(await scene.logs());
    await monitor[Symbol.asyncDispose]();
    throw error;
  }
}
