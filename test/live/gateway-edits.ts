// The edits of a story: the first configuration, and the changes that may follow.
import { pick } from "../lab/random.ts";
import { CLIENTS, type Policy, running, type StoryBackend, type StoryConfig } from "./gateway-model.ts";

const ROLES = ["admin", "reader", "writer"] as const;
const PREFIXES = ["", "", "a_", "a_", "b_", "c_", "d_"] as const;

function newBackend(name: string, random: () => number): StoryBackend {
  return {
    name,
    prefix: pick(random, PREFIXES),
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

/** So many backends; everybody may do everything. */
export function firstConfig(count: number, random: () => number): StoryConfig {
  return {
    backends: Array.from({ length: count }, (_, index) => newBackend(`b${index}`, random)),
    strategy: "error",
    roles: { ann: "admin", ben: "reader", cyd: "writer" },
    tokens: true,
    policies: null,
    audited: false,
    named: count,
  };
}

export interface Change {
  readonly label: string;
  readonly config: StoryConfig;
}

type Edit = (config: StoryConfig, random: () => number) => Change | null;

function edited(
  config: StoryConfig,
  label: string,
  { name }: StoryBackend,
  change: Partial<StoryBackend>,
): Change {
  const backends = config.backends.map((each) => (each.name === name ? { ...each, ...change } : each));
  return { label: `${label} ${name}`, config: { ...config, backends } };
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
    const made = newBackend(`b${config.named}`, random);
    const at = Math.floor(random() * (config.backends.length + 1));
    const backends = config.backends.toSpliced(at, 0, made);
    return {
      label: `add ${made.name}`,
      config: { ...config, backends, named: config.named + 1 },
    };
  },
  remove(config, random) {
    if (config.backends.length <= 8) return null;
    const { name } = pick(random, config.backends);
    const backends = config.backends.filter((each) => each.name !== name);
    return { label: `remove ${name}`, config: { ...config, backends } };
  },
  environment(config, random) {
    const backend = pick(random, running(config));
    return edited(config, "env of", backend, { generation: backend.generation + 1 });
  },
  rename(config, random) {
    const backend = pick(random, running(config));
    const change = { prefix: pick(random, PREFIXES), generation: backend.generation + 1 };
    return edited(config, "names of", backend, change);
  },
  disabled(config, random) {
    const off = config.backends.filter(({ enabled }) => !enabled);
    if (off.length >= 2) return edited(config, "enable", pick(random, off), { enabled: true });
    return edited(config, "disable", pick(random, running(config)), { enabled: false });
  },
};

const SHAPE_EDITS: Readonly<Record<string, Edit>> = {
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
    return edited(config, "env and filters of", backend, change);
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
    return { label: `names that collide: ${strategy}`, config: { ...config, strategy } };
  },
  tokens: (config) => ({
    label: config.tokens ? "anonymous" : "tokens",
    config: { ...config, tokens: !config.tokens },
  }),
  roles(config, random) {
    const roles = { ...config.roles, [pick(random, CLIENTS)]: pick(random, ROLES) };
    return { label: "roles", config: { ...config, roles } };
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
    return { label: "policies", config: { ...config, policies } };
  },
  audit: (config) => ({
    label: "audit",
    config: { ...config, audited: !config.audited },
  }),
};

/** One edit of those, at random; edits of backends come as often as all others. */
export function changeConfig(config: StoryConfig, random: () => number, backendsAlone = false): Change {
  for (;;) {
    const edits = backendsAlone || random() < 0.5 ? BACKEND_EDITS : SHAPE_EDITS;
    const change = pick(random, Object.values(edits))(config, random);
    if (change !== null) return change;
  }
}
