// What `[backend_defaults]` gives to backends: the settings that a backend does not have itself. Pure.
import { isDeepStrictEqual } from "node:util";
import { routesOf } from "./backend-routes.ts";
import { builtInKeys } from "./schema/backend-defaults-schema.ts";
import { normalized } from "./schema/normalized.ts";
import { table } from "./schema/tables.ts";
import type { BackendConfig, BackendDefaults, DefaultedKey } from "./snapshot.ts";

type Connection = BackendConfig["connection"];

/** A backend as the file has it: null where it leaves a key to the defaults, and without their variables. */
export type DeclaredBackend = Omit<BackendConfig, DefaultedKey | "timeouts" | "given" | "defaultEnv"> & {
  readonly [Key in DefaultedKey]: BackendConfig[Key] | null;
} & {
  readonly timeouts: { readonly [Key in keyof BackendConfig["timeouts"]]: number | null };
};

const CHOICES = ["instances", "start", "stopWhenIdleMs"] as const satisfies readonly DefaultedKey[];
const TIMEOUTS = [
  "initMs",
  "listMs",
  "callMs",
] as const satisfies readonly (keyof BackendConfig["timeouts"])[];

/** Some clients wait ten minutes for a tool, but for nothing else. */
const TOOLS_MS = 300_000;
const OTHERS_MS = 60_000;

const BUILT_IN = table("", builtInKeys);

/** The backend with the defaults for whatever it does not have itself. Its own variables win by name. */
export function withDefaults(declared: DeclaredBackend, defaults: BackendDefaults): BackendConfig {
  const builtIn = normalized(builtInKeys, BUILT_IN.read({}, [], []), "/");
  // A server at an address has no process here: it is neither started nor stopped.
  const isHere = routesOf(declared).some(({ connection }) => connection.type === "stdio");
  const { timeouts, connection, routes, ...own } = declared;
  const { capFetchMs: listMs, ...waits } = defaults.timeouts;
  const common = { ...waits, listMs };
  const standard = { ...builtIn.timeouts, listMs: builtIn.timeouts.capFetchMs };
  const given = [
    // An approved form of an earlier version may lack a key.
    ...CHOICES.filter((key) => (own[key] ?? null) !== null),
    ...TIMEOUTS.filter((key) => (timeouts[key] ?? null) !== null),
  ];
  const variables = Object.keys(defaults.env ?? {});
  const defaultEnv = routesOf(declared).map(({ connection }) =>
    connection.type === "stdio" ? variables.filter((name) => !Object.hasOwn(connection.env, name)) : [],
  );
  const changed = routes?.map((route) => ({
    ...route,
    connection: withVariables(route.connection, defaults),
  }));
  return {
    ...own,
    connection: changed?.[0]?.connection ?? withVariables(connection, defaults),
    ...(changed === undefined ? {} : { routes: changed }),
    instances: own.instances ?? defaults.instances ?? builtIn.instances,
    start: own.start ?? (isHere ? defaults.start : null) ?? builtIn.start,
    stopWhenIdleMs: own.stopWhenIdleMs ?? (isHere ? defaults.stopWhenIdleMs : null) ?? builtIn.stopWhenIdleMs,
    timeouts: {
      initMs: timeouts.initMs ?? common.initMs ?? standard.initMs,
      listMs: timeouts.listMs ?? common.listMs ?? standard.listMs,
      callMs: timeouts.callMs ?? common.callMs ?? TOOLS_MS,
      ...((timeouts.callMs ?? common.callMs) === null && { otherMs: OTHERS_MS }),
    },
    ...(given.length === 0 ? {} : { given }),
    ...(defaultEnv.every((names) => names.length === 0) ? {} : { defaultEnv }),
  };
}

function withVariables(connection: Connection, { env }: BackendDefaults): Connection {
  if (connection.type !== "stdio" || (env ?? null) === null) return connection;
  return { ...connection, env: { ...env, ...connection.env } };
}

/** The backend as the file has it, from the one that `withDefaults` returned. */
export function declaredOf({ given = [], defaultEnv = [], ...backend }: BackendConfig): DeclaredBackend {
  const { timeouts, connection, routes } = backend;
  const own = <T>(key: DefaultedKey | (typeof TIMEOUTS)[number], value: T): T | null =>
    given.includes(key) ? value : null;
  const changed = routes?.map((route, index) => ({
    ...route,
    connection: withoutVariables(route.connection, defaultEnv[index]),
  }));
  return {
    ...backend,
    connection: changed?.[0]?.connection ?? withoutVariables(connection, defaultEnv[0]),
    ...(changed === undefined ? {} : { routes: changed }),
    instances: own("instances", backend.instances),
    start: own("start", backend.start),
    stopWhenIdleMs: own("stopWhenIdleMs", backend.stopWhenIdleMs),
    timeouts: {
      initMs: own("initMs", timeouts.initMs),
      listMs: own("listMs", timeouts.listMs),
      callMs: own("callMs", timeouts.callMs),
    },
  };
}

function withoutVariables(connection: Connection, names: readonly string[] = []): Connection {
  if (connection.type !== "stdio" || names.length === 0) return connection;
  const own = Object.entries(connection.env).filter(([name]) => !names.includes(name));
  return { ...connection, env: Object.fromEntries(own) };
}

/** Whether two backends run alike, whether their settings are in the file's entry or in the defaults. */
export function isSameBackend(one: BackendConfig, other: BackendConfig): boolean {
  const { given: _, defaultEnv: _names, ...its } = one;
  const { given: _other, defaultEnv: _others, ...others } = other;
  return isDeepStrictEqual(withoutUndefined(its), withoutUndefined(others));
}

/** An absent key equals an undefined one. */
function withoutUndefined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
