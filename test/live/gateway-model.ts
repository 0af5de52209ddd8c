// Owns a configuration of the gateway as a story changes it, and an account of what each client then sees that shares
// nothing with the gateway's own.
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewaySections, nodeBackend, type Section } from "../mcp/gateway-rig.ts";

export const CLIENTS = ["ann", "ben", "cyd"] as const;
export type Client = (typeof CLIENTS)[number];
export const KINDS = ["tools", "resources", "prompts"] as const;
export type Kind = (typeof KINDS)[number];
const ROLES = ["admin", "reader", "writer"] as const;
const PREFIXES = ["", "", "a_", "a_", "b_", "c_", "d_"] as const;

/** As the story's environment holds them. */
export const tokenVariable = (client: Client): string => `TOKEN_${client.toUpperCase()}`;

export interface StoryBackend {
  readonly name: string;
  /** null: a program of its own. */
  readonly url: string | null;
  /** Before the names of all that it offers. */
  readonly prefix: string;
  /** Tells an instance of the newest configuration from older ones; it stands in `env` or `headers`. */
  readonly generation: number;
  readonly enabled: boolean;
  readonly allow: readonly string[] | null;
  readonly deny: readonly string[];
  readonly hidesPrompts: boolean;
  /** What its tool `echo` is called and described as. */
  readonly echo: { readonly name: string; readonly description: string } | null;
  readonly replace: "overlap" | "stop-first";
  readonly perClient: boolean;
  readonly group: string | null;
  readonly callSeconds: number;
}

interface Policy {
  readonly effect: "allow" | "deny";
  readonly roles: readonly string[] | null;
  readonly resources: readonly string[] | null;
}

export interface StoryConfig {
  readonly backends: readonly StoryBackend[];
  readonly strategy: "first-wins" | "prefix" | "priority" | "error";
  readonly order: readonly string[];
  readonly roles: Readonly<Record<Client, string>>;
  /** false: nobody needs a token, and nobody has a role but `anonymous`. */
  readonly tokens: boolean;
  readonly policies: { readonly byDefault: "allow" | "deny"; readonly list: readonly Policy[] } | null;
  readonly audited: boolean;
  /** Names ever given, so that none comes twice by chance. */
  readonly named: number;
}

export interface HttpServer {
  readonly url: string;
  readonly prefix: string;
}

/** 0 inclusive to 1 exclusive; the same seed gives the same numbers. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function pickOf<T>(values: readonly T[], random: () => number): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
}

function newBackend(name: string, server: HttpServer | null, random: () => number): StoryBackend {
  return {
    name,
    url: server?.url ?? null,
    prefix: server?.prefix ?? pickOf(PREFIXES, random),
    generation: 1,
    enabled: true,
    allow: null,
    deny: [],
    hidesPrompts: false,
    echo: null,
    replace: "overlap",
    perClient: false,
    group: null,
    callSeconds: 60,
  };
}

/** `stdio` programs and one backend for each HTTP server; everybody may do everything. */
export function firstConfig(
  stdio: number,
  servers: readonly HttpServer[],
  random: () => number,
): StoryConfig {
  const all = [...Array.from({ length: stdio }, () => null), ...servers];
  return {
    backends: all.map((server, index) => newBackend(`b${index}`, server, random)),
    strategy: "first-wins",
    order: [],
    roles: { ann: "admin", ben: "reader", cyd: "writer" },
    tokens: true,
    policies: null,
    audited: false,
    named: all.length,
  };
}

export interface Change {
  readonly label: string;
  readonly config: StoryConfig;
  /** Whose instance has to be another one afterwards; null: nothing is connected anew. */
  readonly reconnected: string | null;
}

type Edit = (config: StoryConfig, random: () => number, servers: readonly HttpServer[]) => Change | null;

function edited(
  config: StoryConfig,
  label: string,
  { name }: StoryBackend,
  change: Partial<StoryBackend>,
  reconnects = false,
): Change {
  const backends = config.backends.map((each) => (each.name === name ? { ...each, ...change } : each));
  return {
    label: `${label} ${name}`,
    config: { ...config, backends },
    reconnected: reconnects ? name : null,
  };
}

function filtersOf({ prefix }: StoryBackend, random: () => number): Pick<StoryBackend, "allow" | "deny"> {
  return {
    allow: pickOf([null, null, [`${prefix}s*`, `${prefix}e*`], ["*e*"], [`${prefix}echo`]], random),
    deny: pickOf([[], [], ["*env*"], ["*big", "*fail"], [`${prefix}echo`], ["*sleep"]], random),
  };
}

const running = (config: StoryConfig): StoryBackend[] => config.backends.filter(({ enabled }) => enabled);

export const BACKEND_EDITS: Readonly<Record<string, Edit>> = {
  add(config, random) {
    if (config.backends.length >= 12) return null;
    const made = newBackend(`b${config.named}`, null, random);
    const at = Math.floor(random() * (config.backends.length + 1));
    const backends = config.backends.toSpliced(at, 0, made);
    return {
      label: `add ${made.name}`,
      config: { ...config, backends, named: config.named + 1 },
      reconnected: null,
    };
  },
  remove(config, random) {
    if (config.backends.length <= 8) return null;
    const { name } = pickOf(config.backends, random);
    const backends = config.backends.filter((each) => each.name !== name);
    return { label: `remove ${name}`, config: { ...config, backends }, reconnected: null };
  },
  environment(config, random) {
    const backend = pickOf(running(config), random);
    return edited(config, "env of", backend, { generation: backend.generation + 1 }, true);
  },
  rename(config, random) {
    const programs = running(config).filter(({ url }) => url === null);
    if (programs.length === 0) return null;
    const backend = pickOf(programs, random);
    const change = { prefix: pickOf(PREFIXES, random), generation: backend.generation + 1 };
    return edited(config, "names of", backend, change, true);
  },
  disabled(config, random) {
    const off = config.backends.filter(({ enabled }) => !enabled);
    if (off.length >= 2) return edited(config, "enable", pickOf(off, random), { enabled: true });
    return edited(config, "disable", pickOf(running(config), random), { enabled: false });
  },
};

const SHAPE_EDITS: Readonly<Record<string, Edit>> = {
  addServer(config, random, servers) {
    const free = servers.filter(({ url }) => config.backends.every((each) => each.url !== url));
    if (free.length === 0) return null;
    const made = newBackend(`b${config.named}`, pickOf(free, random), random);
    const backends = [...config.backends, made];
    return {
      label: `add ${made.name}`,
      config: { ...config, backends, named: config.named + 1 },
      reconnected: null,
    };
  },
  filters(config, random) {
    const backend = pickOf(running(config), random);
    return edited(config, "filters of", backend, {
      ...filtersOf(backend, random),
      hidesPrompts: random() < 0.3,
    });
  },
  override(config, random) {
    const backend = pickOf(running(config), random);
    const name = pickOf(["say", "repeat", `${backend.prefix}echo`, `of_${backend.name}`], random);
    const echo = random() < 0.3 ? null : { name, description: `Says it again, ${Math.floor(random() * 3)}.` };
    return edited(config, "override of", backend, { echo });
  },
  environmentAndFilters(config, random) {
    const backend = pickOf(running(config), random);
    const change = { ...filtersOf(backend, random), generation: backend.generation + 1 };
    return edited(config, "env and filters of", backend, change, true);
  },
  replaceMode(config, random) {
    const backend = pickOf(config.backends, random);
    const replace = backend.replace === "overlap" ? "stop-first" : "overlap";
    return edited(config, "replace mode of", backend, { replace });
  },
  instances(config, random) {
    // Each client then has a process of its own: not too many of them.
    const own = running(config).filter(({ perClient }) => perClient);
    if (own.length >= 2) return edited(config, "shared again:", pickOf(own, random), { perClient: false });
    return edited(config, "per client:", pickOf(running(config), random), { perClient: true });
  },
  quietly(config, random) {
    const backend = pickOf(config.backends, random);
    const change = { group: pickOf([null, "one", "two"], random), callSeconds: pickOf([30, 60, 90], random) };
    return edited(config, "group and timeouts of", backend, change);
  },
  conflicts(config, random) {
    const strategy = pickOf(["first-wins", "prefix", "priority", "error"] as const, random);
    const order = config.backends.map(({ name }) => name).filter(() => random() < 0.4);
    const label = `names that collide: ${strategy}`;
    return { label, config: { ...config, strategy, order: order.toReversed() }, reconnected: null };
  },
  tokens: (config) => ({
    label: config.tokens ? "anonymous" : "tokens",
    config: { ...config, tokens: !config.tokens },
    reconnected: null,
  }),
  roles(config, random) {
    const roles = { ...config.roles, [pickOf(CLIENTS, random)]: pickOf(ROLES, random) };
    return { label: "roles", config: { ...config, roles }, reconnected: null };
  },
  policies(config, random) {
    const policy = (): Policy => ({
      effect: pickOf(["allow", "deny"] as const, random),
      roles: pickOf([null, ["admin"], ["reader", "writer"], ["anonymous"], ["w*"]], random),
      resources: pickOf(
        [null, ["tool:*echo"], ["*sleep", "*pid"], ["tool:*", "resource:*"], ["prompt:*"]],
        random,
      ),
    });
    const list = Array.from({ length: 1 + Math.floor(random() * 3) }, policy);
    // Whatever else is forbidden, some calls go on.
    const some: Policy = { effect: "allow", roles: null, resources: ["tool:*sleep", "tool:*echo"] };
    const policies =
      random() < 0.25
        ? null
        : { byDefault: pickOf(["allow", "deny"] as const, random), list: [some, ...list] };
    return { label: "policies", config: { ...config, policies }, reconnected: null };
  },
  audit: (config) => ({
    label: "audit",
    config: { ...config, audited: !config.audited },
    reconnected: null,
  }),
};

/** One edit of those, at random; edits of backends come as often as all others. */
export function changeConfig(
  config: StoryConfig,
  servers: readonly HttpServer[],
  random: () => number,
  backendsAlone = false,
): Change {
  for (;;) {
    const edits = backendsAlone || random() < 0.5 ? BACKEND_EDITS : SHAPE_EDITS;
    const change = pickOf(Object.values(edits), random)(config, random, servers);
    if (change !== null) return change;
  }
}

/** The configuration as the file spells it. */
export function sectionsOf(config: StoryConfig): GatewaySections {
  const { strategy, order, tokens, roles, policies, audited } = config;
  const names = new Set(config.backends.map(({ name }) => name));
  const users = CLIENTS.map((name) => ({ name, token: `\${${tokenVariable(name)}}`, roles: [roles[name]] }));
  return {
    backends: Object.fromEntries(config.backends.map((backend) => [backend.name, sectionOf(backend)])),
    more: {
      conflict_resolution: { strategy, order: order.filter((name) => names.has(name)) },
      incoming_auth: tokens ? { type: "local", users } : { type: "anonymous" },
      ...(policies && {
        authorization: {
          default_effect: policies.byDefault,
          policies: policies.list.map(({ effect, ...scope }) => ({
            effect,
            ...(scope.roles && { roles: scope.roles }),
            ...(scope.resources && { resources: scope.resources }),
          })),
        },
      }),
      ...(audited && { audit: {} }),
    },
  };
}

function sectionOf(backend: StoryBackend): Section {
  const { url, prefix, generation, allow, deny, echo, group } = backend;
  const text = String(generation);
  return {
    ...(url === null
      ? nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: prefix, GENERATION: text } })
      : { url, headers: { "x-generation": text } }),
    enabled: backend.enabled,
    replace: backend.replace,
    instances: backend.perClient ? "per-client" : "shared",
    ...(group !== null && { group }),
    timeouts: { call: backend.callSeconds },
    filters: {
      tools: { ...(allow && { allow }), deny },
      prompts: { deny: backend.hidesPrompts ? ["*"] : [] },
    },
    ...(echo && { tool_overrides: { [`${prefix}echo`]: echo } }),
  };
}

interface Offered {
  readonly backend: string;
  readonly kind: "tool" | "resource" | "prompt";
  readonly name: string;
  /** What a tool is, whatever it is called. */
  readonly bare: string;
  readonly description: string;
}

export interface Seen {
  /** Each kind's list as text: equal texts, equal lists. */
  readonly lists: Readonly<Record<Kind, string>>;
  /** Published names of the tools `echo` and `sleep`. */
  readonly usable: ReadonlyMap<string, "echo" | "sleep">;
}

/** What a client sees once everything has come up; `bare` are the light server's tools. */
export function seenBy(config: StoryConfig, client: Client, bare: readonly string[]): Seen {
  const visible = published(config, bare).filter((entry) => isAllowed(config, client, entry));
  const of = (kind: Offered["kind"]): Offered[] => visible.filter((entry) => entry.kind === kind);
  const usable = new Map<string, "echo" | "sleep">();
  for (const entry of of("tool")) {
    if (entry.bare === "echo" || entry.bare === "sleep") usable.set(entry.name, entry.bare);
  }
  return {
    lists: {
      tools: JSON.stringify(of("tool").map(({ name, description }) => [name, description])),
      resources: JSON.stringify(of("resource").map(({ name }) => name)),
      prompts: JSON.stringify(of("prompt").map(({ name }) => name)),
    },
    usable,
  };
}

function published(config: StoryConfig, bare: readonly string[]): Offered[] {
  const offered = running(config).flatMap((backend) => offersOf(config, backend, bare));
  const rank = ({ backend }: Offered): number => {
    const at = config.order.indexOf(backend);
    return config.strategy !== "priority" ? 0 : at < 0 ? config.order.length : at;
  };
  const first = new Map<string, Offered>();
  // Sorting is stable: among equals it is the order of the file.
  for (const entry of offered.toSorted((one, other) => rank(one) - rank(other))) {
    const key = `${entry.kind} ${entry.name}`;
    if (!first.has(key)) first.set(key, entry);
  }
  return offered.filter((entry) => first.get(`${entry.kind} ${entry.name}`) === entry);
}

function offersOf(config: StoryConfig, backend: StoryBackend, bare: readonly string[]): Offered[] {
  const { name: of, prefix, allow, deny, echo, hidesPrompts } = backend;
  const before = config.strategy === "prefix" ? `${of}_` : "";
  const tools = bare.flatMap((tool): Offered[] => {
    const own = prefix + tool;
    if (deny.some((glob) => isLike(glob, own)) || allow?.some((glob) => isLike(glob, own)) === false)
      return [];
    const other = tool === "echo" ? echo : null;
    const description = other?.description ?? `The tool ${tool}.`;
    return [{ backend: of, kind: "tool", name: before + (other?.name ?? own), bare: tool, description }];
  });
  const rest = { backend: of, bare: "", description: "" };
  return [
    ...tools,
    { ...rest, kind: "resource", name: `light://${prefix}pid` },
    ...(hidesPrompts ? [] : [{ ...rest, kind: "prompt", name: `${before}${prefix}greet` } as const]),
  ];
}

function isAllowed({ policies, tokens, roles }: StoryConfig, client: Client, entry: Offered): boolean {
  if (policies === null) return true;
  const role = tokens ? roles[client] : "anonymous";
  const found = policies.list.find(
    ({ roles: theirs, resources }) =>
      theirs?.some((glob) => isLike(glob, role)) !== false &&
      resources?.some((glob) => isLike(glob, `${entry.kind}:${entry.name}`) || isLike(glob, entry.name)) !==
        false,
  );
  return (found?.effect ?? policies.byDefault) === "allow";
}

/** A glob whose only wildcard is `*`. */
function isLike(glob: string, name: string): boolean {
  const parts = glob.split("*");
  const [start = "", ...rest] = parts;
  const end = rest.pop();
  if (end === undefined) return name === start;
  let from = start.length;
  for (const part of rest) {
    const at = name.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return name.startsWith(start) && name.length >= from + end.length && name.endsWith(end);
}
