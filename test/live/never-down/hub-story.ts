// The same edits and the same load on mcp-hub, a gateway that reloads its configuration, too.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { BenchClient } from "../../../bench/light-sse-client.ts";
import { openMcpHub } from "../../../bench/reload-story-contenders.ts";
import { type LoadEnd, startLoad } from "../../kit/load.ts";
import { randomFrom } from "../../lab/random.ts";
import { eventually } from "../../support/eventually.ts";
import { firstStepConfig, type StepConfig, stepsFrom } from "./story-steps.ts";

const SESSIONS = 8;
const PER_SECOND = 300;
/** A list that is not as the file says after so long is wrong. */
const SETTLES_MS = 5_000;
/** A call without an answer for so long is lost. */
const PATIENCE_MS = 10_000;
/** Before the debounce is over everything looks as before. */
const UNNOTICED_MS = 300;

interface HubEnd extends LoadEnd {
  readonly name: string;
  readonly edits: number;
  /** Lists that were wrong for longer, one for each edit at most. */
  readonly wrong: number;
  /** Sessions that are not answered at the end. */
  readonly gone: number;
  readonly seconds: number;
}

/** What a file of its own has no word for (limits, policies …) is saved as it was; what is invalid is half a file. */
export async function playOnHub({
  seed,
  edits,
}: {
  readonly seed: number;
  readonly edits: number;
}): Promise<HubEnd> {
  const startedAt = performance.now();
  const steps = stepsFrom(seed, edits);
  const first = firstStepConfig(seed);
  const folder = await mkdtemp(path.join(tmpdir(), "mt-hub-notes-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const hub = stack.use(await openMcpHub(first.story, SESSIONS));
  const sessions = hub.clients.map((client, index) => ({
    name: `sse${index}`,
    call: (tool: string, given: object) => firstText(client, tool, given),
  }));
  const allowed = (names: readonly string[]) => new Map(sessions.map(({ name }) => [name, names]));
  const namesOf = ({ story }: StepConfig): readonly string[] =>
    story.backends
      .filter(({ enabled }) => enabled)
      .map(({ name, prefix }) => hub.toolName(name, `${prefix}note`));
  const load = stack.use(
    startLoad({
      sessions,
      perSecond: PER_SECOND,
      file: path.join(folder, "notes"),
      tools: allowed(namesOf(first)),
      random: randomFrom(seed + 2),
    }),
  );
  let wrong = 0;
  for (const { before, after, spoil } of steps) {
    const next = new Set(namesOf(after));
    await load.allow(allowed(namesOf(before).filter((name) => next.has(name)))).catch(() => {});
    await hub.save(after.story, spoil !== null);
    await pause(UNNOTICED_MS);
    const should = [...next].toSorted().join();
    const isRight = async (client: BenchClient): Promise<boolean> => {
      const { tools } = await within(client.request("tools/list"));
      const names = Array.isArray(tools) ? tools.map(({ name }) => String(name)) : [];
      return (
        names
          .filter((name) => name.endsWith("note"))
          .toSorted()
          .join() === should
      );
    };
    try {
      await eventually(
        async () => (await Promise.all(hub.clients.map(isRight))).every(Boolean),
        SETTLES_MS,
        20,
      );
    } catch {
      wrong++;
    }
    await load.allow(allowed(namesOf(after))).catch(() => {});
  }
  const end = await load.end();
  const answers = await Promise.allSettled(hub.clients.map((client) => within(client.request("tools/list"))));
  const gone = answers.filter(({ status }) => status === "rejected").length;
  return { ...end, name: hub.name, edits, wrong, gone, seconds: (performance.now() - startedAt) / 1_000 };
}

async function firstText(client: BenchClient, tool: string, given: object): Promise<string> {
  const { content } = await within(client.request("tools/call", { name: tool, arguments: given }));
  return Array.isArray(content) ? String(content[0]?.text) : "nothing";
}

async function within<T>(promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer after ${PATIENCE_MS} ms`)), PATIENCE_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
