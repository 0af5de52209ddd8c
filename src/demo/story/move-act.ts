// The second act of the story: the share moves between the cables, and programs keep using its files while a cable is pulled and plugged in.
import type { RouteName } from "../../api/contract/contract.ts";
import { msText } from "../../api/labels/label.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { setRouteChange } from "../stage/route-change-setting.ts";
import type { Stage } from "../stage/stage.ts";
import { FILM_MIB, makeMaterial, type WorkAtShare, type WorkMaterial } from "../stage/work-at-share.ts";
import { type Checks, mounted, type Step, StoryFailure, step } from "./story-checks.ts";

/** The steps of the act, for a stage with a running daemon and the Fallback cable plugged in. */
export function moveSteps(stage: Stage, checks: Checks, signal: AbortSignal): readonly Step[] {
  return stage.nas.driver === "smb" ? workGoesOn(stage, checks, signal) : [];
}

function workGoesOn(stage: Stage, checks: Checks, signal: AbortSignal): readonly Step[] {
  const { tb } = stage.nas.cables;
  let earlierMount: string | null = null;
  let material: WorkMaterial | null = null;
  let work: WorkAtShare | null = null;

  const atWork = (): WorkAtShare => {
    if (work === null) throw new StoryFailure("no program is at work");
    const complaint = work.complaint();
    if (complaint !== null) throw new StoryFailure(`a program saw an error: ${complaint}`);
    return work;
  };
  const servedOver = (route: RouteName): Promise<number> =>
    checks.until(`served over ${route}`, (share) => {
      return mounted(share, route) && share.moves?.phase === "serving";
    });
  /** Checks that both programs make progress, and that the mount is still the same. */
  const worksOn = async (): Promise<void> => {
    const before = atWork().progress();
    await checks.eventually("the copy and the log continue", async () => {
      const { pieces, lines } = atWork().progress();
      if (pieces > before.pieces && lines > before.lines) return null;
      return `${pieces - before.pieces} more pieces, ${lines - before.lines} more lines`;
    });
    await checks.sameMount(earlierMount);
  };

  return [
    step('on_route_change = "move", and remount it', async () => {
      await tb.plug();
      await checks.until("Thunderbolt answers", (share) => share.tb_reachable);
      material = await makeMaterial(stage.nas.serverFolder);
      await setRouteChange(stage, "move", signal);
      await servedOver("tb");
      await checks.readable();
      earlierMount = await stage.mountId();
      return "mounted once, for both cables";
    }),
    step(`read ${FILM_MIB} MiB at full speed`, async () => {
      const readMs = await stage.readAtFullSpeed(signal);
      const rate = `${Math.round((FILM_MIB * 1.048576e3) / readMs)} MB/s`;
      return rate;
    }),
    step("copy a large file, and append to a log", async () => {
      if (material === null) throw new StoryFailure("there is nothing to work on");
      work = await stage.startWork(material);
      await worksOn();
      return `one program copies ${FILM_MIB} MiB on the share, another writes line after line to a file`;
    }),
    step("pull the Thunderbolt cable under them", async () => {
      const cutAtMs = systemClock.monotonicMs();
      await tb.pull();
      await servedOver("fallback");
      const movedMs = systemClock.monotonicMs() - cutAtMs;
      await worksOn();
      return `moved to Fallback ${msText(movedMs)} after the cut: the same mount, and both continue`;
    }),
    step("plug it in again, with both files open", async () => {
      await tb.plug();
      const backMs = await servedOver("tb");
      await worksOn();
      return `back over Thunderbolt after ${msText(backMs)}: no file had to be closed`;
    }),
    step("let the copy come to its end", async () => {
      await atWork().finish();
      await checks.eventually("all of it is on the server", () => atWork().missingOnServer());
      await checks.sameMount(earlierMount);
      const moves = await movesIn(stage);
      const { lines } = atWork().progress();
      return `no error; on the server the copy is whole, and all ${lines} lines are there; moves: ${moves}`;
    }),
  ];
}

/** The number of moves in `mountaineer status --json`. Rejects unless there is at least one. */
async function movesIn(stage: Stage): Promise<number> {
  const { stdout } = await stage.mountaineer(["status", "--json"]);
  const { shares } = jsonObject(stdout) ?? {};
  const { count: moves } = objectOf(objectOf(Array.isArray(shares) ? shares[0] : null)["moves"]);
  if (typeof moves === "number" && moves >= 1) return moves;
  throw new StoryFailure(`status --json does not report the share's moves: ${stdout.slice(0, 500)}`);
}
