// The edits of a story: the first configuration, and the changes that may follow.
import { pick } from "../lab/random.ts";
import { CLIENTS, type Policy, running, type StoryBackend, type StoryConfig } from "./gateway-model.ts";

const ROLES = ["admin", "reader", "writer"] as const;
const PREFIXES = ["", "", "a_", "a_", "b_", "c_", "d_"] as const;

interface HttpServer {
  readonly url: string;
  readonly prefix: string;
}

function newBackend(name: string, server: HttpServer | null, random: () => number): StoryBackend {
  return {
    name,
    url: server?.url ?? null,
    prefix: server?.prefix ?? pick(random, PREFIXES),
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
    strategy: "error",
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
    allow: pick(random, [null, null, [`${prefix}s*`, `${prefix}e*`], ["*e*"], [`${prefix}echo`]]),
    deny: pick(random, [[], [], ["*env*"], ["*big", "*fail"], [`${prefix}echo`], ["*sleep"]]),
  };
}

const BACKEND_EDITS: Readonly<Record<string, Edit>> = {
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
    const { name } = pick(random, config.backends);
    const backends = config.backends.filter((each) => each.name !== name);
    return { label: `remove ${name}`, config: { ...config, backends }, reconnected: null };
  },
  environment(config, random) {
    const backend = pick(random, running(config));
    return edited(config, "env of", backend, { generation: backend.generation + 1 }, true);
  },
  rename(config, random) {
    const programs = running(config).filter(({ url }) => url === null);
    if (programs.length === 0) return null;
    const backend = pick(random, programs);
    const change = { prefix: pick(random, PREFIXES), generation: backend.generation + 1 };
    return edited(config, "names of", backend, change, true);
  },
  disabled(config, random) {
    const off = config.backends.filter(({ enabled }) => !enabled);
    if (off.length >= 2) return edited(config, "enable", pick(random, off), { enabled: true });
    return edited(config, "disable", pick(random, running(config)), { enabled: false });
  },
};

const SHAPE_EDITS: Readonly<Record<string, Edit>> = {
  addServer(config, random, servers) {
    const free = servers.filter(({ url }) => config.backends.every((each) => each.url !== url));
    if (free.length === 0) return null;
    const made = newBackend(`b${config.named}`, pick(random, free), random);
    const backends = [...config.backends, made];
    return {
      label: `add ${made.name}`,
      config: { ...config, backends, named: config.named + 1 },
      reconnected: null,
    };
  },
  filters(config, random) {
    const backend = pick(random, running(config));
    return edited(config, "filters of", backend, {
      ...filtersOf(backend, random),
      hidesPrompts: random() < 0.3,
    });
  },
  override(config, random) {
    const backend = pick(random, running(config));
    const name = pick(random, ["say", "repeat", `${backend.prefix}echo`, `of_${backend.name}`]);
    const echo = random() < 0.3 ? null : { name, description: `Says it again, ${Math.floor(random() * 3)}.` };
    return edited(config, "override of", backend, { echo });
  },
  environmentAndFilters(config, random) {
    const backend = pick(random, running(config));
    const change = { ...filtersOf(backend, random), generation: backend.generation + 1 };
    return edited(config, "env and filters of", backend, change, true);
  },
  replaceMode(config, random) {
    const backend = pick(random, config.backends);
    const replace = backend.replace === "overlap" ? "stop-first" : "overlap";
    return edited(config, "replace mode of", backend, { replace });
  },
  instances(config, random) {
    // Each client then has a process of its own: not too many of them.
    const own = running(config).filter(({ perClient }) => perClient);
    if (own.length >= 2) return edited(config, "shared again:", pick(random, own), { perClient: false });
    return edited(config, "per client:", pick(random, running(config)), { perClient: true });
  },
  quietly(config, random) {
    const backend = pick(random, config.backends);
    const change = { group: pick(random, [null, "one", "two"]), callSeconds: pick(random, [30, 60, 90]) };
    return edited(config, "group and timeouts of", backend, change);
  },
  conflicts(config, random) {
    const strategy = pick(random, ["prefix", "error"] as const);
    return { label: `names that collide: ${strategy}`, config: { ...config, strategy }, reconnected: null };
  },
  tokens: (config) => ({
    label: config.tokens ? "anonymous" : "tokens",
    config: { ...config, tokens: !config.tokens },
    reconnected: null,
  }),
  roles(config, random) {
    const roles = { ...config.roles, [pick(random, CLIENTS)]: pick(random, ROLES) };
    return { label: "roles", config: { ...config, roles }, reconnected: null };
  },
  policies(config, random) {
    const policy = (): Policy => ({
      effect: pick(random, ["allow", "deny"] as const),
      roles: pick(random, [null, ["admin"], ["reader", "writer"], ["anonymous"], ["w*"]]),
      resources: pick(random, [
        null,
        ["tool:*echo"],
        ["*sleep", "*pid"],
        ["tool:*", "resource:*"],
        ["prompt:*"],
      ]),
    });
    const list = Array.from({ length: 1 + Math.floor(random() * 3) }, policy);
    // Whatever else is forbidden, some calls go on.
    const some: Policy = {
      effect: "allow",
      roles: null,
      resources: ["tool:*sleep", "tool:*echo", "tool:*note"],
    };
    const policies =
      random() < 0.25 ? null : { byDefault: pick(random, ["allow", "deny"] as const), list: [some, ...list] };
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
    const change = pick(random, Object.values(edits))(config, random, servers);
    if (change !== null) return change;
  }
}
