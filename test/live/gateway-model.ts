// A gateway configuration as a story changes it, and a separate account of what each client then sees, which shares
// nothing with the gateway's own.
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewaySections, nodeBackend, type Section } from "../mcp/gateway-rig.ts";

export const CLIENTS = ["ann", "ben", "cyd"] as const;
export type Client = (typeof CLIENTS)[number];

/** As the story's environment holds them. */
export const tokenVariable = (client: Client): string => `TOKEN_${client.toUpperCase()}`;

export interface StoryBackend {
  readonly name: string;
  /** Before the names of all that it offers. */
  readonly prefix: string;
  /** Tells an instance of the newest configuration from older ones; it stands in `env`. */
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
  const { prefix, generation, allow, deny, echo, group } = backend;
  return {
    ...nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: prefix, GENERATION: String(generation) } }),
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
  readonly name: string;
  /** What it is, whatever it is called. */
  readonly tool: string;
}

/** Whose edits hold for nobody: the home's own socket. */
export const OWNER = "owner";

/** The tools that a client sees once everything has come up, of these of the light server, by their published names. */
export function seenBy(
  config: StoryConfig,
  client: Client | typeof OWNER,
  tools: readonly string[],
): ReadonlyMap<string, Offered> {
  const first = new Map<string, Offered>();
  for (const entry of running(config).flatMap((backend) => offersOf(config, backend, tools)))
    if (!first.has(entry.name)) first.set(entry.name, entry);
  return new Map([...first].filter(([, entry]) => client === OWNER || isAllowed(config, client, entry)));
}

function offersOf({ strategy }: StoryConfig, backend: StoryBackend, tools: readonly string[]): Offered[] {
  const { name: of, prefix, allow, deny, echo } = backend;
  const before = strategy === "prefix" ? `${of}_` : "";
  return tools.flatMap((tool) => {
    const own = prefix + tool;
    if (deny.some((glob) => isLike(glob, own)) || allow?.some((glob) => isLike(glob, own)) === false)
      return [];
    return [{ backend: of, name: before + ((tool === "echo" ? echo?.name : null) ?? own), tool }];
  });
}

function isAllowed({ policies, tokens, roles }: StoryConfig, client: Client, { name }: Offered): boolean {
  if (policies === null) return true;
  const role = tokens ? roles[client] : "anonymous";
  const found = policies.list.find(
    ({ roles: theirs, resources }) =>
      theirs?.some((glob) => isLike(glob, role)) !== false &&
      resources?.some((glob) => isLike(glob, `tool:${name}`) || isLike(glob, name)) !== false,
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
