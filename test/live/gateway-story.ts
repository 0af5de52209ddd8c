// A story of edits under load: three clients with calls in flight while the file is changed again and again, and
// what came of it.
import { setTimeout as pause } from "node:timers/promises";
import { type Call, startLoad, wordsOf } from "../kit/load.ts";
import { randomFrom } from "../lab/random.ts";
import { LIGHT_SERVER, openHttpFixture } from "../mcp/fixture-programs.ts";
import { type GatewayRig, openGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import { type Change, changeConfig, firstConfig } from "./gateway-edits.ts";
import {
  CLIENTS,
  type Client,
  KINDS,
  type Kind,
  type Seen,
  type StoryConfig,
  sectionsOf,
  seenBy,
  tokenVariable,
} from "./gateway-model.ts";

const STDIO_BACKENDS = 7;
const HTTP_PREFIXES = ["", "a_", "h_"];
const CALLS_AN_EDIT = 10;
/** With each answered after 0 to 300 ms, some 30 are in flight at any moment. */
const PER_SECOND = 200;
const AT_ONCE = 11;
const LONGEST_CALL_MS = 300;

export interface StoryEnd {
  readonly edits: number;
  readonly calls: number;
  /** Calls that the configurations before and after allow, and that failed. */
  readonly lost: readonly string[];
  /** Calls that an edit overtook on their way: refused, because their tool was gone when they arrived. */
  readonly overtaken: number;
  readonly dropped: number;
  /** Lists, notices and instances that are not as the configuration says. */
  readonly wrong: readonly string[];
  readonly notices: number;
  readonly seconds: number;
}

/** Plays so many edits, each waited for; ends at the first that leads to something wrong. */
export async function playStory(options: {
  readonly edits: number;
  readonly seed: number;
  /** After `ms` no further edit is begun once there were so many. */
  readonly enough?: { readonly edits: number; readonly ms: number };
}): Promise<StoryEnd> {
  const startedAt = performance.now();
  const random = randomFrom(options.seed);
  await using stack = new AsyncDisposableStack();
  const servers = [];
  for (const prefix of HTTP_PREFIXES) {
    const fixture = stack.use(await openHttpFixture(LIGHT_SERVER, { LIGHT_PREFIX: prefix }));
    servers.push({ url: fixture.url, prefix });
  }
  const bare = await bareTools(servers[0]?.url ?? "");
  let current = firstConfig(STDIO_BACKENDS, servers, random);
  const env = Object.fromEntries(CLIENTS.map((name) => [tokenVariable(name), `token-of-${name}`]));
  const rig = stack.use(await openGatewayRig(sectionsOf(current), { env }));
  await rig.untilReady(...current.backends.map(({ name }) => name));
  const clients = new Map<Client, LightClient>();
  for (const name of CLIENTS) {
    const client = stack.use(await connectLight(rig.url, { token: `token-of-${name}` }));
    await client.listen();
    clients.set(name, client);
  }
  const seen = (config: StoryConfig): Map<Client, Seen> =>
    new Map(CLIENTS.map((client) => [client, seenBy(config, client, bare)]));

  let allowed = seen(current);
  let doing = "before the first edit";
  const loadRandom = randomFrom(options.seed + 1);
  const load = stack.use(
    startLoad({
      sessions: [...clients].map(([name, client]) => ({
        name,
        call: (tool, given) =>
          client.call(tool, given).catch((error: unknown) => {
            throw new Error(`${wordsOf(error)}${AT}${doing}`);
          }),
      })),
      perSecond: PER_SECOND,
      atOnce: AT_ONCE,
      file: null,
      tools: namesIn(allowed),
      requestOf: (text) => ({
        given: { text, ms: Math.floor(loadRandom() * LONGEST_CALL_MS) },
        answer: text,
      }),
      random: loadRandom,
      forgives: isOvertaken,
    }),
  );
  const none = () => ({ least: 0, most: 0 });
  const due: Due = new Map(
    CLIENTS.map((client) => [client, { tools: none(), resources: none(), prompts: none() }]),
  );
  const wrong: string[] = [];
  let edits = 0;
  const { enough = { edits: options.edits, ms: 0 } } = options;
  const isEnough = () => edits >= enough.edits && performance.now() - startedAt >= enough.ms;
  while (edits < options.edits && wrong.length === 0 && !isEnough()) {
    const before = seen(current);
    const pids = await pidsOf(rig);
    let after = before;
    const steps: Change[] = [];
    do {
      const change = changeConfig(current, servers, random);
      after = seen(change.config);
      allowed = common(allowed, after, steps.length > 0);
      load.permit(namesIn(allowed));
      current = change.config;
      steps.push(change);
      doing = `at edit ${edits + 1} (${steps.map(({ label }) => label).join(", ")})`;
      await rig.edit(sectionsOf(current));
      // Now and then the next one comes before this one's backends have come up.
    } while (edits + steps.length < options.edits && random() < 0.2);
    edits += steps.length;
    for (const [client, ranges] of due) {
      for (const kind of KINDS) {
        const differs = before.get(client)?.lists[kind] !== after.get(client)?.lists[kind];
        ranges[kind].least += differs ? 1 : 0;
        ranges[kind].most += steps.length > 1 ? 2 * steps.length : differs ? 1 : 0;
      }
    }
    const problem = await settled(rig, { steps, pids, clients, after, due });
    if (problem !== null) {
      wrong.push(`edit ${edits} (${steps.map(({ label }) => label).join(", ")}): ${problem}`);
    }
    for (const [client, ranges] of due) {
      for (const kind of KINDS) {
        const came = heard(clients.get(client), kind);
        // Several edits at once may be told as one or as several; what came is then what was due.
        if (steps.length > 1) ranges[kind] = { least: came, most: came };
      }
    }
    allowed = after;
    load.permit(namesIn(allowed));
    // No edit without load, however slow the machine is.
    const callsBefore = load.begun;
    await eventually(() => load.begun >= callsBefore + CALLS_AN_EDIT * steps.length);
  }
  const { lost, calls, broken: overtaken } = await load.end();
  const { gateway } = await rig.status();
  // One too many would come soon after the last edit.
  await pause(300);
  wrong.push(...CLIENTS.flatMap((client) => noticesWrong(client, clients, due) ?? []));
  return {
    edits,
    calls,
    lost,
    overtaken,
    dropped: CLIENTS.length - (gateway?.sessions ?? 0),
    wrong,
    notices: [...clients.values()].reduce((sum, { notices }) => sum + notices.length, 0),
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/** Of an error of a call: where the story was. */
const AT = "; ended ";

/**
 * Begun while its tool was there and refused by the gateway itself after an edit had taken it away: a request that has
 * not been read yet when the edit takes effect meets the new configuration.
 */
function isOvertaken(words: string, { tool, toolWent }: Call): boolean {
  return toolWent && words.startsWith(`-32602: Unknown tool: ${tool}${AT}`);
}

function namesIn(seen: ReadonlyMap<Client, Seen>): ReadonlyMap<string, readonly string[]> {
  return new Map([...seen].map(([client, { usable }]) => [client, [...usable.keys()]]));
}

export async function bareTools(url: string): Promise<string[]> {
  await using client = await connectLight(url);
  return await client.tools();
}

/**
 * What a client may call whichever of the two holds. While an edit's backends may still be coming up (`hasty`), the
 * next one can take a tool away before whoever has it now offers it: then only what stays the same backend's counts.
 */
function common(before: Map<Client, Seen>, after: Map<Client, Seen>, hasty: boolean): Map<Client, Seen> {
  const both = new Map<Client, Seen>();
  for (const [client, { lists, usable }] of before) {
    const later = after.get(client)?.usable;
    const kept = [...usable].filter(([name, { tool, backend }]) => {
      const then = later?.get(name);
      return then?.tool === tool && (!hasty || then.backend === backend);
    });
    both.set(client, { lists, usable: new Map(kept) });
  }
  return both;
}

/** How often each client must have heard of each kind so far. */
type Due = ReadonlyMap<Client, Record<Kind, { least: number; most: number }>>;

interface Settling {
  readonly steps: readonly Change[];
  /** Before the first step. */
  readonly pids: ReadonlyMap<string, number | null>;
  readonly clients: ReadonlyMap<Client, LightClient>;
  readonly after: ReadonlyMap<Client, Seen>;
  readonly due: Due;
}

async function pidsOf(rig: GatewayRig): Promise<Map<string, number | null>> {
  const { backends = [] } = await rig.status();
  return new Map(backends.map(({ name, pid }) => [name, pid]));
}

/** Waits until all is as it should be; null, or what is not within the deadline. */
async function settled(
  rig: GatewayRig,
  { steps, pids, clients, after, due }: Settling,
): Promise<string | null> {
  const config = steps.at(-1)?.config;
  const wanted = (name: string) =>
    config?.backends.find((each) => each.name === name && each.enabled) ?? null;
  const replaced = new Set(
    steps.flatMap(({ reconnected }) => reconnected ?? []).filter((name) => wanted(name)?.url === null),
  );
  let problem = "";
  try {
    await eventually(async () => {
      const { backends = [] } = await rig.status();
      const waits = backends.find(
        ({ name, phase, pid }) =>
          (wanted(name) !== null && phase !== "Ready") || (replaced.has(name) && pid === pids.get(name)),
      );
      problem = waits === undefined ? "" : `${waits.name} is ${waits.phase}: ${waits.reason}`;
      for (const [name, client] of clients) {
        if (problem !== "") break;
        for (const kind of KINDS) {
          const list = await readList(client, kind);
          const should = after.get(name)?.lists[kind];
          if (list !== should) problem = `${kind} of ${name}: ${list}\nwanted: ${should}`;
        }
        problem ||= noticesWrong(name, clients, due)[0] ?? "";
      }
      return problem === "";
    });
    return null;
  } catch {
    return problem;
  }
}

async function readList(client: LightClient, kind: Kind): Promise<string> {
  const { [kind]: list } = await client.request(`${kind}/list`);
  if (!Array.isArray(list)) return "no list";
  if (kind === "tools") return JSON.stringify(list.map(({ name, description }) => [name, description]));
  return JSON.stringify(list.map(({ uri, name }) => uri ?? name));
}

function heard(client: LightClient | undefined, kind: Kind): number {
  const method = `notifications/${kind}/list_changed`;
  return client?.notices.filter((notice) => notice["method"] === method).length ?? 0;
}

function noticesWrong(name: Client, clients: ReadonlyMap<Client, LightClient>, due: Due): string[] {
  return KINDS.flatMap((kind) => {
    const came = heard(clients.get(name), kind);
    const { least, most } = due.get(name)?.[kind] ?? { least: 0, most: 0 };
    const range = least === most ? least : `${least} to ${most}`;
    return came >= least && came <= most ? [] : [`${name} heard of ${kind} ${came} times, ${range} were due`];
  });
}
