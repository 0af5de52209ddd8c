// The demo's story: its steps, the checks after each step, and the printed results.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { msText } from "../../api/labels/label.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { OpenedFile } from "../stage/file-holder.ts";
import type { Stage } from "../stage/stage.ts";
import { SHARE } from "../stage/stage-layout.ts";
import { moveSteps } from "./move-act.ts";
import { type Checks, createChecks, isOver, mounted, type Step, StoryFailure, step } from "./story-checks.ts";

/**
 * How long a status must stay unchanged, ms: enough for three checks of the daemon, which checks twice a
 * second.
 */
const UNCHANGED_FOR_MS = 1_500;

/** The steps, to be played in this order on a stage whose daemon does not run yet. */
export function storySteps(stage: Stage, signal: AbortSignal): readonly Step[] {
  const checks = createChecks(stage, signal);
  return [
    ...cableSteps(stage, checks),
    ...handSteps(stage, checks),
    ...moveSteps(stage, checks, signal),
    step("stop the daemon", async () => {
      const end = await stage.endMonitor("stop");
      if (end?.code !== 0) throw new StoryFailure(`it ended with ${end?.code ?? end?.signal}`);
      await checks.eventually("nothing of it is left", async () => {
        const remains = await stage.remains();
        return remains.length === 0 ? null : remains.join("; ");
      });
      return "stopped in order, and unmounted: no process and no mount is left of it";
    }),
  ];
}

/** The steps in which cables are pulled and plugged in, with a file open and without. */
function cableSteps(stage: Stage, checks: Checks): readonly Step[] {
  const { cables } = stage.nas;
  let holder: OpenedFile | null = null;
  return [
    step("start the daemon", async () => {
      await stage.startMonitor();
      const readMs = await checks.readable();
      await checks.until("mounted over Thunderbolt", (share) => mounted(share, "tb"));
      return `mounted over Thunderbolt, readable after ${msText(readMs)}`;
    }),
    step("pull the Thunderbolt cable", async () => {
      await cables.tb.pull();
      const readMs = await checks.readable();
      await checks.until("over Fallback", (share) => mounted(share, "fallback"));
      return `the same path is readable over Fallback ${Math.round(readMs)} ms after the cut`;
    }),
    step("plug it in again, with a file open", async () => {
      holder = await stage.openFile();
      await cables.tb.plug();
      const readyMs = await checks.until("TB Ready", (share) => share.tb_recovery_pending);
      await checks.staysSo("no switch while a file is open", UNCHANGED_FOR_MS, (share) => {
        return isOver(share, "fallback") && share.tb_recovery_pending;
      });
      if (holder.ended) throw new StoryFailure("the process that holds the file has lost it");
      await checks.readable();
      return `TB Ready after ${msText(readyMs)}; still over Fallback, tail (pid ${holder.pid}) keeps its file`;
    }),
    step("close the file", async () => {
      await holder?.close();
      return backOverThunderbolt(checks, systemClock.monotonicMs());
    }),
    step("pull the Fallback cable", async () => {
      const before = await checks.share();
      await cables.fallback.pull();
      await checks.until("Fallback seen to be gone", (share) => !share.fb_reachable);
      await checks.staysSo("nothing happens", UNCHANGED_FOR_MS, (share) => {
        return (
          isOver(share, "tb") && share.last_error === null && share.last_switch_at === before.last_switch_at
        );
      });
      await checks.readable();
      return "nothing happens: it is mounted over Thunderbolt";
    }),
    step("pull Thunderbolt, too", async () => {
      const earlierMount = await stage.mountId();
      await cables.tb.pull();
      await checks.until("an error", (share) => share.last_error !== null);
      await checks.staysSo("the mount is kept", UNCHANGED_FOR_MS, (share) => share.last_error !== null);
      await checks.sameMount(earlierMount);
      const { last_error: error } = await checks.share();
      return `nothing answers, the mount is kept; last_error: ${error?.split(": ")[0]}`;
    }),
    step("plug in Fallback", async () => {
      await cables.fallback.plug();
      const readMs = await checks.readable();
      await checks.until(
        "over Fallback, without an error",
        (share) => mounted(share, "fallback") && share.last_error === null,
      );
      return `readable over Fallback ${msText(readMs)} later`;
    }),
    step("plug in Thunderbolt, with no file open", async () => {
      await cables.tb.plug();
      return backOverThunderbolt(checks, systemClock.monotonicMs());
    }),
  ];
}

/**
 * The steps in which the share is switched by hand and written to before a cut, and in which the daemon is
 * killed.
 */
function handSteps(stage: Stage, checks: Checks): readonly Step[] {
  const { cables } = stage.nas;
  return [
    step("mountaineer switch --to fallback", async () => {
      await checks.command(["switch", "--share", SHARE, "--to", "fallback"]);
      await checks.staysSo("kept on Fallback", UNCHANGED_FOR_MS, (share) => {
        return isOver(share, "fallback") && share.override === "fallback" && !share.tb_recovery_pending;
      });
      await checks.readable();
      return "kept on Fallback by hand, although Thunderbolt answers";
    }),
    step("mountaineer switch --to auto", async () => {
      const requestedAtMs = systemClock.monotonicMs();
      await checks.command(["switch", "--share", SHARE, "--to", "auto"]);
      const detail = await backOverThunderbolt(checks, requestedAtMs);
      await checks.until("no override", (share) => share.override === null);
      return `back to automatic: ${detail}`;
    }),
    step("write a file, and pull Thunderbolt at once", async () => {
      const text = `written right before the cut: ${"data ".repeat(2_000)}\n`;
      await stage.write("written.txt", text);
      await cables.tb.pull();
      const savedMs = await checks.eventually("the file is on the server", async () => {
        const found = await readFile(join(stage.nas.serverFolder, "written.txt"), "utf8").catch(() => "");
        return found === text ? null : `it has ${found.length} of ${text.length} characters`;
      });
      await checks.readable();
      await checks.until("over Fallback", (share) => mounted(share, "fallback"));
      return `whole on the server ${msText(savedMs)} after the cut`;
    }),
    step("kill the daemon with SIGKILL, start it again", async () => {
      const earlierMount = await stage.mountId();
      await stage.endMonitor("kill");
      await checks.readable();
      await stage.startMonitor();
      await checks.until("the daemon has taken over", (share) => mounted(share, "fallback"));
      await checks.readable();
      await checks.sameMount(earlierMount);
      return "also readable without a daemon; the new one takes over the same mount";
    }),
  ];
}

async function backOverThunderbolt(checks: Checks, fromMs: number): Promise<string> {
  await checks.until("back over Thunderbolt", (share) => mounted(share, "tb") && !share.tb_recovery_pending);
  const backMs = systemClock.monotonicMs() - fromMs;
  await checks.readable();
  return `back over Thunderbolt after ${msText(backMs)}`;
}
