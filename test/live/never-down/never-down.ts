// The story of a program that is never down: eight sessions, half of them over HTTP and half through `mountaineer mcp`, call
// at a steady pace while the configuration is edited without a pause, the daemon hands over, and is killed.
import { createHash } from "node:crypto";
import { link, rename } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Call, type Load, type LoadEnd, startLoad, wordsOf } from "../../kit/load.ts";
import { type LoadSession, overBridge, overHttp } from "../../kit/sessions.ts";
import { randomFrom } from "../../lab/random.ts";
import { LIGHT_SERVER, openHttpFixture } from "../../mcp/fixture-programs.ts";
import { type GatewayRig, handOver, openGatewayRig } from "../../mcp/gateway-rig.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { ANSWERS_MS, eventually } from "../../support/eventually.ts";
import { CLIENTS, OWNER, tokenVariable } from "../gateway-model.ts";
import {
  common,
  firstStepConfig,
  type Step,
  stepSections,
  stepsFrom,
  toolsSeen,
  type Viewer,
} from "./story-steps.ts";

const PER_SECOND = 300;
const HTTP_SESSIONS = 4;
const STDIO_SESSIONS = 4;
/** A list that is not as the file says after so long is wrong. */
const SETTLES_MS = 60_000;
/** The longest pause between an edit and the kill of whoever reads it. */
const KILLED_WITHIN_MS = 1_200;
/** How long new sessions begin before a kill, one after the other. */
const NEWCOMERS_MS = 60;
/** Each of so many kills meets a handover. */
const KILLS_A_HANDOVER = 4;

/** What a call may fail with while its daemon is killed: the connection broke, or nobody listened. */
const BROKE = /ECONNREFUSED|ECONNRESET|EPIPE|terminated|socket hang up/u;
/** The bridge's words for what was in flight. */
const ENDED = /the daemon ended before it/u;

interface StoryOptions {
  readonly seed: number;
  readonly edits: number;
  /** Spread over the edits; every other one while edits go on. */
  readonly handovers: number;
  /** After those, with further edits: `kill -9` of the daemon in charge at any moment. */
  readonly kills: number;
}

export interface StoryEnd extends LoadEnd {
  readonly seconds: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly handovers: number;
  /** `mountaineer restart` said that nothing has changed, and why. */
  readonly refused: readonly string[];
  /** Longest answer in the 2 s around each handover, ms. */
  readonly aroundMs: readonly number[];
  readonly kills: number;
  /** From a kill until all that was in flight had ended, ms. */
  readonly toErrorMs: readonly number[];
  /** From the start of the next daemon until the last session had its answer, ms. */
  readonly toAnswerMs: readonly number[];
  /** The same, from when the gateway listened again. */
  readonly fromListeningMs: readonly number[];
  /** Sessions that began right before kills; the last one of each kill has to last. */
  readonly newcomers: number;
  /** Lists that were not as the file says, edits that were not taken. */
  readonly wrong: readonly string[];
  /** Sessions that are none of those that were begun. */
  readonly gone: readonly string[];
}

export async function playNeverDown({ seed, edits, handovers, kills }: StoryOptions): Promise<StoryEnd> {
  const startedAt = performance.now();
  await using stack = new AsyncDisposableStack();
  const bare = await toolsOfServer();
  const steps = stepsFrom(seed, edits + kills + 1);
  // A daemon does not hand over to a refused file: the step after it mends it.
  const edited = edits + (steps[edits - 1]?.spoil == null ? 0 : 1);
  const first = firstStepConfig(seed);
  const env = Object.fromEntries(CLIENTS.map((name) => [tokenVariable(name), `token-of-${name}`]));
  const rig = stack.use(await openGatewayRig(stepSections(first), { env, kept: true }));
  await rig.untilReady(...first.story.backends.map(({ name }) => name));
  const viewers = new Map<LoadSession, Viewer>();
  for (let index = 0; index < HTTP_SESSIONS; index++) {
    const viewer = CLIENTS[index % CLIENTS.length] ?? "ann";
    const session = await overHttp(`http${index}-${viewer}`, rig.url, `token-of-${viewer}`);
    viewers.set(stack.use(session), viewer);
  }
  for (let index = 0; index < STDIO_SESSIONS; index++) {
    viewers.set(stack.use(await overBridge(`stdio${index}`, rig)), OWNER);
  }
  const outages: { readonly fromMs: number; toMs: number }[] = [];
  const file = path.join(rig.folder, "notes");
  const load = stack.use(
    startLoad({
      sessions: [...viewers.keys()],
      perSecond: PER_SECOND,
      file,
      tools: bySession(viewers, common(first, first)),
      random: randomFrom(seed + 2),
      forgives: (words, call, endMs) => isOfOutage(outages, words, call, endMs),
    }),
  );
  const story = new Story({ rig, load, viewers, bare });
  await story.edit(steps.slice(0, edited), handovers);
  await story.kill(steps.slice(edited, edited + kills), outages, randomFrom(seed + 3));
  const end = await load.end();
  for (const [session] of viewers) if (!session.isSame()) story.gone.push(`${session.name} is another`);
  for (const session of viewers.keys()) {
    await session.tools().catch((error) => story.gone.push(`${session.name}: ${wordsOf(error)}`));
  }
  const { byKind, refused, aroundMs, toErrorMs, toAnswerMs, fromListeningMs } = story;
  const { newcomers, wrong, gone, done } = story;
  return {
    ...end,
    ...{ byKind: Object.fromEntries(byKind), refused, aroundMs, toErrorMs, toAnswerMs, fromListeningMs },
    ...{ newcomers, wrong, gone, handovers: done, kills, seconds: (performance.now() - startedAt) / 1_000 },
  };
}

interface StoryParts {
  readonly rig: GatewayRig;
  readonly load: Load;
  readonly viewers: ReadonlyMap<LoadSession, Viewer>;
  readonly bare: readonly string[];
}

class Story {
  readonly byKind = new Map<string, number>();
  readonly refused: string[] = [];
  readonly aroundMs: number[] = [];
  readonly toErrorMs: number[] = [];
  readonly toAnswerMs: number[] = [];
  readonly fromListeningMs: number[] = [];
  readonly wrong: string[] = [];
  readonly gone: string[] = [];
  newcomers = 0;
  /** Handovers. */
  done = 0;
  readonly #parts: StoryParts;

  constructor(parts: StoryParts) {
    this.#parts = parts;
  }

  /** Every edit is settled before the next one; a handover goes on beside them, or alone. */
  async edit(steps: readonly Step[], handovers: number): Promise<void> {
    let handing: Promise<void> = Promise.resolve();
    for (const [index, step] of steps.entries()) {
      if (this.wrong.length > 0) break;
      // A daemon that starts with a file that is refused does not take over.
      if (step.spoil !== null) await handing;
      const due = Math.floor(((index + 1) * handovers) / steps.length);
      await this.#save(step);
      await this.#settle(step);
      if (step.spoil !== null || this.done >= due) continue;
      await handing;
      handing = this.#handOver();
      if (due % 2 === 0) await handing;
    }
    await handing;
    while (this.done < handovers && this.refused.length < handovers) await this.#handOver();
  }

  async #handOver(): Promise<void> {
    const { rig, load } = this.#parts;
    this.done++;
    try {
      const { from, to } = await handOver(rig);
      if (from === to) throw new Error(`daemon ${from} handed over to itself`);
    } catch (error) {
      this.done--;
      this.refused.push(wordsOf(error));
      return;
    }
    const now = performance.now();
    await pause(1_000);
    this.aroundMs.push(load.longestBetween(now - 1_000, now + 1_000));
  }

  /** Kills after each save, before or after the daemon has read it. */
  async kill(
    steps: readonly Step[],
    outages: { readonly fromMs: number; toMs: number }[],
    random: () => number,
  ): Promise<void> {
    const { rig, load, viewers } = this.#parts;
    for (const [index, step] of steps.entries()) {
      if (this.wrong.length > 0) return;
      await this.#save(step);
      const restart =
        step.spoil === null && index % KILLS_A_HANDOVER === 0 ? rig.home.cli(["restart"], 150_000) : null;
      await pause(random() * KILLED_WITHIN_MS);
      const before = this.newcomers;
      let isUp = true;
      const newcomer = this.#lastNewcomer(() => isUp);
      await eventually(() => this.newcomers > before);
      await pause(random() * NEWCOMERS_MS);
      const killedAt = performance.now();
      const cut = [...load.inFlight];
      const outage = { fromMs: killedAt, toMs: Number.POSITIVE_INFINITY };
      outages.push(outage);
      const ending = eventually(() => cut.every((call) => !load.inFlight.has(call))).then(() =>
        this.toErrorMs.push(performance.now() - killedAt),
      );
      ending.catch(() => {});
      const isOver = await rig.killDaemon();
      isUp = false;
      const startsAt = performance.now();
      if (isOver) await rig.comeBack();
      const listensAt = performance.now();
      outage.toMs = listensAt;
      await ending;
      const sessions = [...viewers.keys()].map(({ name }) => name);
      try {
        await eventually(() => sessions.every((name) => load.answeredSince(name, startsAt) !== null), 60_000);
        const answers = sessions.map((name) => load.answeredSince(name, startsAt) ?? 0);
        this.toAnswerMs.push(Math.max(...answers) - startsAt);
        this.fromListeningMs.push(Math.max(...answers) - listensAt);
      } catch {
        const silent = sessions.filter((name) => load.answeredSince(name, startsAt) === null);
        this.gone.push(`no answer after kill ${index + 1}: ${silent.join(", ")}`);
        return;
      }
      await restart;
      const came = await newcomer;
      await came
        ?.tools()
        .catch((error) => this.gone.push(`a newcomer, kill ${index + 1}: ${wordsOf(error)}`));
      await came?.[Symbol.asyncDispose]();
      await this.#settle(step);
    }
  }

  /** Of sessions that begin one after the other until the kill comes, the last whose id was told. */
  async #lastNewcomer(isUp: () => boolean): Promise<LoadSession | null> {
    let last: LoadSession | null = null;
    while (isUp()) {
      const next = await overHttp("newcomer", this.#parts.rig.url, "token-of-ann").catch(() => null);
      if (next === null) return last;
      this.newcomers++;
      await last?.[Symbol.asyncDispose]();
      last = next;
    }
    return last;
  }

  /** Saves the step's file, once nobody calls what it takes away. */
  async #save(step: Step): Promise<void> {
    const { rig, load, viewers } = this.#parts;
    this.byKind.set(step.kind, (this.byKind.get(step.kind) ?? 0) + 1);
    await load.allow(bySession(viewers, common(step.before, step.after)));
    // What stands there stays under another name until the save after this one: with a freed inode of the file before a
    // refused one, the new file would be taken for that file, written in place (B12).
    const kept = `${rig.home.configFile}.kept`;
    await link(rig.home.configFile, `${kept}.next`);
    await rig.home.writeConfig(fileOf(rig, step));
    await rename(`${kept}.next`, kept);
  }

  async #settle(step: Step): Promise<void> {
    const { load, viewers } = this.#parts;
    let missing = "";
    try {
      await eventually(async () => {
        missing = await this.#missing(step);
        return missing === "";
      }, SETTLES_MS);
    } catch (error) {
      this.wrong.push(`${step.label}: ${missing || wordsOf(error)}`);
    }
    await load.allow(bySession(viewers, common(step.after, step.after)));
  }

  /** What is not as the step has it; empty when all is. */
  async #missing(step: Step): Promise<string> {
    const { after, spoil } = step;
    const { rig, viewers, bare } = this.#parts;
    const daemon = await rig.daemon();
    const sync = await daemon.call("sync", null, AbortSignal.timeout(ANSWERS_MS));
    const { last_error: mistake, generation } = sync;
    if (spoil !== null) return mistake === null ? "it was not refused" : "";
    if (mistake !== null) return `${mistake.kind}: ${mistake.reason}`;
    const sha256 = createHash("sha256").update(fileOf(rig, step)).digest("hex");
    if (sync.sha256 !== sha256) return `generation ${generation} is another file's`;
    const { backends = [] } = await rig.status();
    const wanted = after.story.backends.filter(({ enabled }) => enabled).map(({ name }) => name);
    const ready = new Set(backends.flatMap(({ name, phase }) => (phase === "Ready" ? [name] : [])));
    const waits = wanted.find((name) => !ready.has(name));
    if (waits !== undefined) return `${waits} is not Ready in generation ${generation}`;
    for (const [session, viewer] of viewers) {
      const list = await session.tools().then(
        (names) => names.toSorted().join(),
        (error) => {
          this.gone.push(`${session.name} asked for its tools at ${step.label}: ${wordsOf(error)}`);
          return "nothing";
        },
      );
      const should = toolsSeen(after, viewer, bare).join();
      if (list !== should) return `${session.name} sees ${list}\nwanted: ${should}`;
    }
    return "";
  }
}

function fileOf(rig: GatewayRig, { after, spoil }: Step): string {
  const text = rig.text(stepSections(after));
  return spoil === null ? text : spoil(text);
}

function bySession(
  viewers: ReadonlyMap<LoadSession, Viewer>,
  names: ReadonlyMap<Viewer, readonly string[]>,
): ReadonlyMap<string, readonly string[]> {
  return new Map([...viewers].map(([{ name }, viewer]) => [name, names.get(viewer) ?? []]));
}

function isOfOutage(
  outages: readonly { readonly fromMs: number; readonly toMs: number }[],
  words: string,
  { fromMs }: Call,
  endMs: number,
): boolean {
  if (!BROKE.test(words) && !ENDED.test(words)) return false;
  return outages.some((outage) => fromMs <= outage.toMs && endMs >= outage.fromMs);
}

async function toolsOfServer(): Promise<readonly string[]> {
  await using server = await openHttpFixture(LIGHT_SERVER);
  await using client = await connectLight(server.url);
  return await client.tools();
}
