// Measures `find_tool`: whether questions of everyday life find the tools of real servers, how long a list is without
// them, and how long the index holds up the daemon. Questions were worded from what the tools' names say they do, without
// a look at their descriptions. Every third is kept back: the search is never tuned by it, and what it misses is not told.
import { readFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import type { CatalogEntry } from "../src/gateway/catalog/catalog.ts";
import { createOwnTools } from "../src/gateway/optimizer/own-tools.ts";
import { ToolIndex } from "../src/gateway/optimizer/tool-index.ts";
import { noopLogger } from "../src/runtime/log/log.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { goal, median, round, say } from "./figures.ts";

export const title = "tools that are found instead of listed";
export const missing = (): string | null => null;

const FOLDER = new URL("./optimizer/", import.meta.url);
const FIRST = 5;
/** How the servers are named that offer tools of others once more. */
const COPIES = "other";
/** Every third question is kept back. */
const isKeptBack = (place: number): boolean => place % 3 === 2;
/** A text has at least three bytes for each token. */
const BYTES_OF_TOKEN = 3;

interface Server {
  readonly name: string;
  readonly tools: readonly {
    readonly name: string;
    readonly title: string | null;
    readonly description: string;
    readonly arguments: readonly string[];
  }[];
}

interface Question {
  readonly question: string;
  /** `SERVER:TOOL`; any of them will do. */
  readonly tools: readonly string[];
}

type Tools = ReadonlyMap<string, CatalogEntry>;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const servers: readonly Server[] = JSON.parse(await readFile(new URL("tools.json", FOLDER), "utf8"));
  const questions: readonly Question[] = JSON.parse(
    await readFile(new URL("questions.json", FOLDER), "utf8"),
  );
  const real = entriesOf(servers);
  const thousand = repeated(real, 1_000);
  await recall(thousand, questions);
  listSize(thousand);
  await slices(repeated(real, short ? 2_000 : 5_000));
}

async function recall(tools: Tools, questions: readonly Question[]): Promise<void> {
  const index = new ToolIndex();
  index.follow(tools);
  await index.ready;
  const times: number[] = [];
  // A copy of a right tool is as right as that.
  const originals = new Map([...tools.values()].map((tool) => [tool.name, originalOf(tool, tools)]));
  const isFound = ({ question, tools: wanted }: Question): boolean => {
    const startedAt = performance.now();
    const found = index.search(question, FIRST, () => true);
    times.push(performance.now() - startedAt);
    return found.some((name) => wanted.includes(originals.get(name) ?? name));
  };
  const asked = questions.map((question, place) => ({ question, place, found: isFound(question) }));
  const share = (some: readonly { readonly found: boolean }[]): number =>
    some.filter(({ found }) => found).length / some.length;
  const tuned = asked.filter(({ place }) => !isKeptBack(place));
  const keptBack = asked.filter(({ place }) => isKeptBack(place));
  say(`  ${tools.size} tools, ${questions.length} questions, of which ${keptBack.length} kept back`);
  say(`  among the first ${FIRST}: ${percent(share(asked))} of all, ${percent(share(tuned))} of those that`);
  say(
    `  the search was tuned by, ${percent(share(keptBack))} of those kept back; a search takes ${round(median(times))} ms`,
  );
  for (const { question, found } of tuned) if (!found) say(`    missed: ${question.question}`);
  goal("95 % of the questions that were kept back find their tool", share(keptBack) >= 0.95);
  goal("95 % of all questions do", share(asked) >= 0.95);
}

function listSize(tools: Tools): void {
  const own = createOwnTools({ index: new ToolIndex(), clock: systemClock, logger: noopLogger });
  const ofAll = tokens([...tools.values()].map(({ definition }) => definition));
  const ours = tokens(own.definitions);
  say(`  the list of ${tools.size} tools: ${ours} tokens at most, instead of some ${ofAll}`);
  goal("1,000 tools in ≤ 2,000 tokens of list", ours <= 2_000);
}

/** How long others wait while a whole catalog is taken up. */
async function slices(tools: Tools): Promise<void> {
  const index = new ToolIndex();
  const startedAt = performance.now();
  const gaps: number[] = [];
  index.follow(tools);
  for (let last = performance.now(); index.ready !== null; ) {
    await turn();
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  const sorted = gaps.toSorted((a, b) => a - b);
  const longest = sorted.at(Math.floor(sorted.length * 0.99)) ?? 0;
  say(
    `  an index of ${tools.size} tools is there after ${round(performance.now() - startedAt)} ms, in slices of ${round(median(gaps))} ms (p99 ${round(longest)})`,
  );
  goal("nobody waits longer than 20 ms for a slice", longest <= 20);
}

function entriesOf(servers: readonly Server[]): readonly CatalogEntry[] {
  return servers.flatMap((server) =>
    server.tools.map((tool) => {
      const name = `${server.name}:${tool.name}`;
      const properties = Object.fromEntries(tool.arguments.map((argument) => [argument, { type: "string" }]));
      const { title: shown, description } = tool;
      const inputSchema = { type: "object", properties };
      const definition = { name, ...(shown === null ? {} : { title: shown }), description, inputSchema };
      return {
        kind: "tool",
        name,
        fullName: name,
        originalName: tool.name,
        backend: server.name,
        definition,
        status: "listed",
        reasons: [],
      };
    }),
  );
}

/** So many, the last of them the first ones again at a server that nobody asks for. */
function repeated(real: readonly CatalogEntry[], count: number): Tools {
  const tools = new Map<string, CatalogEntry>();
  for (let place = 0; tools.size < count; place++) {
    const entry = real[place % real.length];
    if (entry === undefined) break;
    const round = Math.floor(place / real.length);
    const name = round === 0 ? entry.name : `${COPIES}${round}:${entry.originalName}`;
    const definition = { ...entry.definition, name };
    tools.set(name, round === 0 ? entry : { ...entry, name, backend: `${COPIES}${round}`, definition });
  }
  return tools;
}

/** The name of the tool that it is, or that it is a copy of. */
function originalOf({ name, originalName, backend, definition }: CatalogEntry, tools: Tools): string {
  if (!backend.startsWith(COPIES)) return name;
  const { description } = definition;
  const original = [...tools.values()].find(
    (other) =>
      !other.backend.startsWith(COPIES) &&
      other.originalName === originalName &&
      other.definition["description"] === description,
  );
  return original?.name ?? name;
}

function tokens(value: unknown): number {
  return Math.ceil(Buffer.byteLength(JSON.stringify(value)) / BYTES_OF_TOKEN);
}

function percent(share: number): string {
  return `${round(share * 100)} %`;
}
