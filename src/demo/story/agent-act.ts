// The third act of the story: an agent reads files of the share, while cables are pulled and the daemon is killed and
// restarted.
import { appendFile } from "node:fs/promises";
import type { Agent } from "../stage/agent.ts";
import { freePort } from "../stage/plain-rig.ts";
import type { Stage } from "../stage/stage.ts";
import { SHARE } from "../stage/stage-layout.ts";
import { type Checks, mounted, type Step, StoryFailure, seconds, step } from "./story-checks.ts";

const TOOL = "read_file";
const SECOND_TOOL = "read_again";
/** Number of calls that must succeed after each event. */
const CALLS_AFTER = 3;

/** The agent, with checks that its calls succeed, except for expected failures. */
function createWatchedAgent(checks: Checks) {
  let current: Agent | null = null;
  let forgiven = 0;
  const agent = (): Agent => {
    if (current === null) throw new StoryFailure("no agent is at work");
    if (!current.running) throw new StoryFailure("the agent has lost its session");
    const complaint = current.complaints[forgiven];
    if (complaint !== undefined) throw new StoryFailure(`a call of the agent failed: ${complaint}`);
    return current;
  };
  return {
    begin(started: Agent): void {
      current = started;
    },
    /** Throws if the agent has no session, or a call failed unexpectedly. */
    agent,
    get failed() {
      return current?.complaints.length ?? 0;
    },
    get forgiven() {
      return forgiven;
    },
    /** Makes the checks ignore earlier failed calls whose error matches `pattern`. */
    forgive(pattern: RegExp): void {
      const expected = current?.complaints.slice(forgiven).filter((complaint) => pattern.test(complaint));
      forgiven += expected?.length ?? 0;
    },
    /** Resolves after some more successful calls. Rejects if a call fails unexpectedly. */
    async worksOn(): Promise<void> {
      const before = agent().answered;
      await checks.eventually("the agent's calls continue", async () => {
        const more = agent().answered - before;
        return more >= CALLS_AFTER ? null : `${more} more answers`;
      });
    },
  };
}

/** The steps of the act, for a stage with a running daemon. The share may be on any route. */
export function agentSteps(stage: Stage, checks: Checks, signal: AbortSignal): readonly Step[] {
  const { cables } = stage.nas;
  const moves = stage.nas.driver === "smb";
  const watched = createWatchedAgent(checks);
  const { agent, worksOn } = watched;
  /**
   * Passes `--allow-literal`, because the path of a build may contain a digest, which looks like a secret.
   */
  const add = (name: string, tool: string, more: readonly string[] = []): Promise<void> =>
    checks.command(["backends", "add", name, ...more, "--allow-literal", "--", ...stage.fileTool(tool)]);
  const over = (route: "tb" | "fallback"): Promise<number> =>
    checks.until(`over ${route}`, (share) => mounted(share, route) && share.last_error === null);

  return [
    step("give an agent a tool that reads the share", async () => {
      await Promise.all([cables.tb.plug(), cables.fallback.plug()]);
      await over("tb");
      await checks.command(["config", "set", "server.port", String(await freePort())]);
      const requires = `requires=["${SHARE}"]`;
      await add("files", TOOL, ["--set", requires]);
      watched.begin(await stage.startAgent(TOOL));
      await worksOn();
      return "mountaineer backends add files; the agent calls its tool twice a second over mountaineer mcp";
    }),
    step("pull Thunderbolt under the agent", async () => {
      await cables.tb.pull();
      await over("fallback");
      // Without moves, the share is away during the switch, so calls may fail with an error that names the
      // share.
      if (!moves) watched.forgive(new RegExp(SHARE));
      await worksOn();
      const { forgiven } = watched;
      return forgiven === 0 ? "no call failed" : `${countText(forgiven)} failed, and named the share`;
    }),
    step("edit the configuration, and add a tool", async () => {
      const { notices } = agent();
      await appendFile(stage.layout.configFile, "\n# A person was here.\n");
      await checks.command(["config", "set", "global.check_interval_secs", "0.4"]);
      await add("more", SECOND_TOOL);
      await checks.eventually("the agent learns of the new tool", async () => {
        const tools = await agent().tools();
        if (agent().notices > notices && tools.includes(SECOND_TOOL)) return null;
        return `${agent().notices - notices} notices, tools ${tools.join(", ")}`;
      });
      await worksOn();
      return "the agent learns of the new tool, and no call failed";
    }),
    step("kill the daemon under the agent, start it again", async () => {
      const before = watched.failed;
      await stage.endMonitor("kill");
      await stage.startMonitor({ supervised: true });
      await over("fallback");
      watched.forgive(/the daemon ended before it answered/);
      await worksOn();
      const failed = watched.failed - before;
      return `the same session continues; ${failed === 0 ? "no call" : countText(failed)} was in flight, and none is repeated`;
    }),
    step("mountaineer restart under the agent", async () => {
      const earlierMount = await stage.mountId();
      const before = await (await stage.daemon())?.call("status", null, signal);
      await checks.command(["restart"]);
      await over("fallback");
      await worksOn();
      await checks.sameMount(earlierMount);
      const after = await (await stage.daemon())?.call("status", null, signal);
      const [from, to] = [before?.global.pid, after?.global.pid];
      if (to == null || from === to) throw new StoryFailure(`the daemon is the same one: pid ${to}`);
      return `another daemon is in charge (pid ${to}): the same mount, the same session, and no call failed`;
    }),
    step("plug it in again, and let the agent go", async () => {
      await cables.tb.plug();
      const backMs = await over("tb");
      if (!moves) watched.forgive(new RegExp(SHARE));
      await worksOn();
      const { answered, longestMs } = agent();
      await agent().end();
      const { forgiven } = watched;
      const failed = forgiven === 0 ? "none failed" : `${countText(forgiven)} failed`;
      return `back over Thunderbolt after ${seconds(backMs)}; ${answered} calls were answered, ${failed}, the slowest took ${seconds(longestMs)}`;
    }),
  ];
}

function countText(calls: number): string {
  return calls === 1 ? "one call" : `${calls} calls`;
}
