// Measures what edits of the file cost those who are at work: calls lost, sessions dropped, lists that stay wrong.
import { setTimeout as pause } from "node:timers/promises";
import { pick, randomFrom } from "../test/lab/random.ts";
import { changeConfig, firstConfig } from "../test/live/gateway-edits.ts";
import type { StoryBackend, StoryConfig } from "../test/live/gateway-model.ts";
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { connectLight } from "../test/mcp/light-client.ts";
import { goal, say, spread } from "./figures.ts";
import { peersInstalled } from "./gateways.ts";
import { type Contender, openMcpHub, openOurs } from "./reload-story-contenders.ts";

export const title = "gateway: edits under load (10 backends, 3 sessions, 32 calls in flight)";
export const missing = (): string | null => null;

const BACKENDS = 10;
const IN_FLIGHT = 32;
const LONGEST_CALL_MS = 300;
/** A call without an answer for so long is lost. */
const PATIENCE_MS = 10_000;
/** A list that is not as the file says after so long is wrong. */
const SETTLES_MS = 5_000;
const SEED = 42;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const edits = short ? 20 : 200;
  const isHubThere = await peersInstalled(!short);
  if (!isHubThere) say("  mcp-hub is not installed (bench/peers): Mountaineer alone");
  const openers = isHubThere ? [openOurs, openMcpHub] : [openOurs];
  const bare = await bareTools();
  for (const open of openers) {
    const { name, ...end } = await play(open, edits, bare);
    say(`  ${name}: ${edits} edits, ${end.calls} calls`);
    say(`    ${end.lost} calls lost, ${end.dropped} sessions dropped, ${end.wrong} lists wrong after 5 s`);
    if (end.settledMs.length > 0) say(`    from saving to the list being right: ${spread(end.settledMs)}`);
    if (name !== "Mountaineer") continue;
    goal("no call lost, no session dropped, no list wrong", end.lost + end.dropped + end.wrong === 0);
  }
}

async function bareTools(): Promise<string[]> {
  await using server = await openHttpFixture(LIGHT_SERVER);
  await using client = await connectLight(server.url);
  return await client.tools();
}

interface StoryEnd {
  readonly name: string;
  readonly calls: number;
  readonly lost: number;
  readonly dropped: number;
  readonly wrong: number;
  readonly settledMs: readonly number[];
}

/** The same edits for everybody: add, remove, disable, enable, another environment, other names. */
async function play(
  open: (first: StoryConfig) => Promise<Contender>,
  edits: number,
  bare: readonly string[],
): Promise<StoryEnd> {
  const random = randomFrom(SEED);
  let current: StoryConfig = { ...firstConfig(BACKENDS, random), strategy: "prefix", tokens: false };
  await using contender = await open(current);
  const { name, clients, toolName } = contender;
  const namesOf = ({ backends }: StoryConfig, tools = bare): string[] =>
    backends
      .filter(({ enabled }) => enabled)
      .flatMap((backend: StoryBackend) => tools.map((tool) => toolName(backend.name, backend.prefix + tool)));
  const callable = (config: StoryConfig): string[] => namesOf(config, ["sleep"]);
  const settledMs: number[] = [];
  let [calls, lost, wrong, dropped] = [0, 0, 0, 0];
  let allowed: readonly string[] = callable(current);
  let going = true;
  const loadRandom = randomFrom(SEED + 1);
  const workers = Array.from({ length: IN_FLIGHT }, async (_, index) => {
    const client = clients[index % clients.length];
    while (going && client !== undefined) {
      const text = `call ${++calls}`;
      const given = { text, ms: Math.floor(loadRandom() * LONGEST_CALL_MS) };
      const asked = client.request("tools/call", { name: pick(loadRandom, allowed), arguments: given });
      const answer = await within(PATIENCE_MS, asked);
      if (JSON.stringify(answer?.["content"])?.includes(text) !== true) {
        lost++;
        // An error comes at once: it shall not count a hundred times a second.
        await pause(LONGEST_CALL_MS);
      }
    }
  });
  for (let edit = 0; edit < edits; edit++) {
    const { config } = changeConfig(current, random, true);
    const next = new Set(callable(config));
    allowed = callable(current).filter((tool) => next.has(tool));
    const startedAt = performance.now();
    await contender.save(config);
    // Before the debounce is over everything looks as before.
    await pause(300);
    const right = namesOf(config).toSorted().join();
    for (const client of clients) {
      let isRight = false;
      while (!isRight && performance.now() - startedAt < SETTLES_MS) {
        const list = (await within(PATIENCE_MS, client.request("tools/list")))?.["tools"];
        const names = Array.isArray(list) ? list.map((tool: { name: string }) => tool.name) : [];
        isRight = names.toSorted().join() === right;
        if (!isRight) await pause(20);
      }
      if (isRight) settledMs.push(performance.now() - startedAt);
      else wrong++;
    }
    current = config;
    allowed = callable(current);
  }
  going = false;
  await Promise.all(workers);
  for (const client of clients) {
    if ((await within(PATIENCE_MS, client.request("tools/list"))) === null) dropped++;
  }
  return { name, calls, lost, dropped, wrong, settledMs };
}

/** Null when it fails, or takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  const late = new AbortController();
  try {
    return await Promise.race([promise, pause(ms, null, { signal: late.signal })]);
  } catch {
    return null;
  } finally {
    late.abort();
  }
}
