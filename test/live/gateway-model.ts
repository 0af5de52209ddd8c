// A gateway configuration as a story changes it, and a separate account of what each client then sees, which shares
// nothing with the gateway's own.
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewaySections, nodeBackend, type Section } from "../mcp/gateway-rig.ts";

export const CLIENTS = ["ann", "ben", "cyd"] as const;
export type Client = (typeof CLIENTS)[number];
export const KINDS = ["tools", "resources", "prompts"] as const;
export type Kind = (typeof KINDS)[number];

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

export interface Policy {
  readonly effect: "allow" | "deny";
  readonly roles: readonly string[] | null;
  readonly resources: readonly string[] | null;
}

export interface StoryConfig {
  readonly backends: readonly StoryBackend[];
  /** Those under which a name depends on the configuration alone, and not on who had it before. */
  readonly strategy: "prefix" | "error";
  readonly roles: Readonly<Record<Client, string>>;
  /** false: nobody needs a token, and nobody has a role but `anonymous`. */
  readonly tokens: boolean;
  readonly policies: { readonly byDefault: "allow" | "deny"; readonly list: readonly Policy[] } | null;
  readonly audited: boolean;
  /** Names ever given, so that none comes twice by chance. */
  readonly named: number;
}

/** The configuration as the file spells it. */
export function sectionsOf(config: StoryConfig): GatewaySections {
  const { strategy, tokens, roles, policies, audited } = config;
  const users = CLIENTS.map((name) => ({ name, token: `\${${tokenVariable(name)}}`, roles: [roles[name]] }));
  return {
    backends: Object.fromEntries(config.backends.map((backend) => [backend.name, sectionOf(backend)])),
    more: {
      conflict_resolution: { strategy },
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

/** Those that are to be served. */
export const running = (config: StoryConfig): StoryBackend[] =>
  config.backends.filter(({ enabled }) => enabled);

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
  /** The tools that were asked for, by their published names. */
  readonly usable: ReadonlyMap<string, Usable>;
}

interface Usable {
  readonly tool: string;
  /** Whose it is. */
  readonly backend: string;
}

/** Whose edits hold for nobody: the home's own socket. */
export const OWNER = "owner";

/** What a client sees once everything has come up; `bare` are the light server's tools, `called` those to be called. */
export function seenBy(
  config: StoryConfig,
  client: Client | typeof OWNER,
  bare: readonly string[],
  called: readonly string[] = ["echo", "sleep"],
): Seen {
  const all = published(config, bare);
  const visible = client === OWNER ? all : all.filter((entry) => isAllowed(config, client, entry));
  const of = (kind: Offered["kind"]): Offered[] => visible.filter((entry) => entry.kind === kind);
  const usable = new Map<string, Usable>();
  for (const entry of of("tool")) {
    const { name, bare: tool, backend } = entry;
    if (called.includes(tool)) usable.set(name, { tool, backend });
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
  const first = new Map<string, Offered>();
  for (const entry of offered) {
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
