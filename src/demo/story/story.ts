// The demo's story: the steps, what must be true after each, and what is printed.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../runtime/time/clock.ts";
import type { FileHolder } from "../stage/file-holder.ts";
import type { Stage } from "../stage/stage.ts";
import { SHARE } from "../stage/stage-layout.ts";
import { agentSteps } from "./agent-act.ts";
import { carriedSteps } from "./carried-act.ts";
import {
  type Checks,
  createChecks,
  isOver,
  mounted,
  type Step,
  StoryFailure,
  seconds,
} from "./story-checks.ts";

/** Long enough for the daemon to look three times, at two looks a second. */
const UNCHANGED_FOR_MS = 1_500;

/** The steps, to be played in this order on a stage whose daemon does not run yet. */
export function storySteps(stage: Stage, signal: AbortSignal): readonly Step[] {
  const checks = createChecks(stage, signal);
  return [
    ...cableSteps(stage, checks),
    ...handSteps(stage, checks),
    ...carriedSteps(stage, checks, signal),
    ...agentSteps(stage, checks, signal),
    {
      title: "stop the daemon",
      async play() {
        const end = await stage.endMonitor("stop");
        if (end?.code !== 0) throw new StoryFailure(`it ended with ${end?.code ?? end?.signal}`);
        await checks.eventually("nothing of it is left", async () => {
          const remains = await stage.remains();
          return remains.length === 0 ? null : remains.join("; ");
        });
        return "stopped in order, and unmounted: no process and no mount is left of it";
      },
    },
  ];
}

/** What cables do: they are pulled and plugged in, with a file open and without. */
function cableSteps(stage: Stage, checks: Checks): readonly Step[] {
  const { cables } = stage.nas;
  let holder: FileHolder | null = null;
  return [
    {
      title: "start the daemon",
      async play() {
        await stage.startMonitor();
        const readMs = await checks.readable();
        await checks.until("mounted over Thunderbolt", (share) => mounted(share, "tb"));
        return `mounted over Thunderbolt, readable after ${seconds(readMs)}`;
      },
    },
    {
      title: "pull the Thunderbolt cable",
      async play() {
        await cables.tb.pull();
        const readMs = await checks.readable();
        await checks.until("over Fallback", (share) => mounted(share, "fallback"));
        return `the same path is readable over Fallback ${Math.round(readMs)} ms after the cut`;
      },
    },
    {
      title: "plug it in again, with a file open",
      async play() {
        holder = await stage.holdFile();
        await cables.tb.plug();
        const readyMs = await checks.until("TB Ready", (share) => share.tb_recovery_pending);
        await checks.staysSo("no switch while a file is open", UNCHANGED_FOR_MS, (share) => {
          return isOver(share, "fallback") && share.tb_recovery_pending;
        });
        if (holder.ended) throw new StoryFailure("the process that holds the file has lost it");
        await checks.readable();
        return `TB Ready after ${seconds(readyMs)}; still over Fallback, tail (pid ${holder.pid}) keeps its file`;
      },
    },
    {
      title: "close the file",
      async play() {
        await holder?.close();
        return backOverThunderbolt(checks, systemClock.monotonicMs());
      },
    },
    {
      title: "pull the Fallback cable",
      async play() {
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
      },
    },
    {
      title: "pull Thunderbolt, too",
      async play() {
        const keptMount = await stage.mountId();
        await cables.tb.pull();
        await checks.until("an error", (share) => share.last_error !== null);
        await checks.staysSo("the mount is kept", UNCHANGED_FOR_MS, (share) => share.last_error !== null);
        await checks.sameMount(keptMount);
        const { last_error: error } = await checks.share();
        return `nothing answers, the mount is kept; last_error: ${error?.split(": ")[0]}`;
      },
    },
    {
      title: "plug in Fallback",
      async play() {
        await cables.fallback.plug();
        const readMs = await checks.readable();
        await checks.until(
          "over Fallback, without an error",
          (share) => mounted(share, "fallback") && share.last_error === null,
        );
        return `readable over Fallback ${seconds(readMs)} later`;
      },
    },
    {
      title: "plug in Thunderbolt, with no file open",
      async play() {
        await cables.tb.plug();
        return backOverThunderbolt(checks, systemClock.monotonicMs());
      },
    },
  ];
}

/** What people and programs do: they switch by hand, write while a cable is pulled, and kill the daemon. */
function handSteps(stage: Stage, checks: Checks): readonly Step[] {
  const { cables } = stage.nas;
  return [
    {
      title: "mountaineer switch --to fallback",
      async play() {
        await checks.command(["switch", "--share", SHARE, "--to", "fallback"]);
        await checks.staysSo("held on Fallback", UNCHANGED_FOR_MS, (share) => {
          return isOver(share, "fallback") && share.held === "fallback" && !share.tb_recovery_pending;
        });
        await checks.readable();
        return "held over Fallback by hand, although Thunderbolt answers";
      },
    },
    {
      title: "mountaineer switch --to auto",
      async play() {
        const askedAtMs = systemClock.monotonicMs();
        await checks.command(["switch", "--share", SHARE, "--to", "auto"]);
        const told = await backOverThunderbolt(checks, askedAtMs);
        await checks.until("held no more", (share) => share.held === null);
        return `back to automatic: ${told}`;
      },
    },
    {
      title: "write a file, and pull Thunderbolt at once",
      async play() {
        const text = `written right before the cut: ${"data ".repeat(2_000)}\n`;
        await stage.write("written.txt", text);
        await cables.tb.pull();
        const savedMs = await checks.eventually("the file is on the server", async () => {
          const found = await readFile(join(stage.nas.serverFolder, "written.txt"), "utf8").catch(() => "");
          return found === text ? null : `it has ${found.length} of ${text.length} characters`;
        });
        await checks.readable();
        await checks.until("over Fallback", (share) => mounted(share, "fallback"));
        return `whole on the server ${seconds(savedMs)} after the cut`;
      },
    },
    {
      title: "kill the daemon with SIGKILL, start it again",
      async play() {
        const keptMount = await stage.mountId();
        await stage.endMonitor("kill");
        await checks.readable();
        await stage.startMonitor();
        await checks.until("the daemon has taken over", (share) => mounted(share, "fallback"));
        await checks.readable();
        await checks.sameMount(keptMount);
        return "readable without a daemon, too; the new one takes over the same mount";
      },
    },
  ];
}

async function backOverThunderbolt(checks: Checks, fromMs: number): Promise<string> {
  await checks.until("back over Thunderbolt", (share) => mounted(share, "tb") && !share.tb_recovery_pending);
  const backMs = systemClock.monotonicMs() - fromMs;
  await checks.readable();
  return `back over Thunderbolt after ${seconds(backMs)}`;
}
