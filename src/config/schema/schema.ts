// The whole configuration file: its sections in reading order, and their schema. Validation, the starter, the reference
// in docs/ and the editors' JSON Schema are made from it.
import * as z from "zod";
import type { KeyPath } from "../mistakes.ts";
import { aliasSchema } from "./alias-schema.ts";
import { backendAuthSchema } from "./backend-auth-schema.ts";
import { groupShape, groupsSchema, optimizerSchema, profileSchema } from "./fewer-tools-schema.ts";
import { fleetSchema } from "./fleet-schema.ts";
import {
  auditSchema,
  backendSchema,
  backendsSchema,
  conflictSchema,
  filterSchemas,
  headerSchema,
  managementSchema,
  routeSchema,
  serverSchema,
  timeoutsSchema,
  toolOverrideSchema,
  variableSchema,
} from "./gateway-schema.ts";
import { claimSchema, incomingAuthSchema, scopeSchema, userSchema } from "./incoming-auth-schema.ts";
import { limitsOverrideSchema, limitsSchema } from "./limits-schema.ts";
import { argumentSchema, authorizationSchema, policySchema } from "./policy-schema.ts";
import { sandboxSchema } from "./sandbox-schema.ts";
import { choiceKey, type KeyDoc, keyDocs, numberKey, toggleKey } from "./schema-keys.ts";
import { globalSchema, shareSchema } from "./share-schema.ts";
import { telemetryHeaderSchema, telemetrySchema } from "./telemetry-schema.ts";
import { trustSchema } from "./trust-schema.ts";

/** How a change of the file may be noticed. */
const DETECTION_CHOICES = ["mtime", "hash", "inotify"] as const;
/** What may follow a reload that failed. */
const ON_FAILURE_CHOICES = ["backoff", "fixed", "stop"] as const;

export const syncSchema = z.strictObject({
  enabled: toggleKey(
    true,
    "Watch this file and apply every change at once. When false, only `mountaineer reload`, SIGHUP and Mountaineer's own edits apply it.",
  ),
  poll_interval: numberKey({
    min: 0.05,
    max: 3600,
    absent: 2,
    unit: "seconds",
    meaning: "How often the file is looked at; fractions are allowed.",
  }),
  debounce: numberKey({
    min: 0.01,
    max: 60,
    absent: 1,
    unit: "seconds",
    meaning:
      "How long the file must rest after a change before it is read, so that several saves are one reload.",
  }),
  detection: choiceKey(DETECTION_CHOICES, "mtime", {
    meaning:
      "How a change is noticed: `mtime` by the file's time, `hash` by its content (for network file systems, whose times may lie), `inotify` by the system's events.",
  }),
  on_failure: choiceKey(ON_FAILURE_CHOICES, "backoff", {
    meaning:
      "After a reload that failed: `backoff` tries again at growing intervals of at most a minute, `fixed` at `poll_interval`, `stop` watches no more until `mountaineer reload`.",
  }),
});

const notifySchema = z.strictObject({
  enabled: toggleKey(false, "Show notifications on the desktop of the user who runs Mountaineer."),
  failover: toggleKey(true, "When a share goes over the fallback."),
  tb_ready: toggleKey(true, "When Thunderbolt is back for a share, and going back waits."),
  config_rejected: toggleKey(true, "When this file has a mistake, so that what ran before runs on."),
});

export const configFileSchema = z.strictObject({
  global: globalSchema.prefault({}),
  sync: syncSchema.prefault({}),
  notify: notifySchema.prefault({}),
  shares: z.array(shareSchema).default([]),
  aliases: z.array(aliasSchema).default([]),
  server: serverSchema.optional(),
  backends: backendsSchema.default({}),
  conflict_resolution: conflictSchema.prefault({}),
  incoming_auth: incomingAuthSchema.prefault({}),
  authorization: authorizationSchema.optional(),
  limits: limitsSchema.prefault({}),
  audit: auditSchema.optional(),
  trust: trustSchema.prefault({}),
  telemetry: telemetrySchema.optional(),
  optimizer: optimizerSchema.prefault({}),
  groups: groupsSchema.default({}),
  profiles: z.array(profileSchema).default([]),
  fleet: fleetSchema.optional(),
});

/** A valid file's content, in the file's spelling, with defaults filled in. */
export type ConfigFile = z.output<typeof configFileSchema>;
export type ShareFile = z.output<typeof shareSchema>;
export type AliasFile = z.output<typeof aliasSchema>;
export type BackendFile = z.output<typeof backendSchema>;
export type BackendAuthFile = z.output<typeof backendAuthSchema>;

/** In a pattern, a name that people choose. */
export const ANY_NAME = "*";
/** In a pattern, a place in a list. */
export const ANY_PLACE = "#";

/** One table of the file: what it is for, how its header is written, and its keys. */
export interface SectionDoc {
  /** Its path without names and places, with dots: `global`, `backends.timeouts`. */
  readonly name: string;
  /** Its path, with ANY_NAME and ANY_PLACE in it. */
  readonly pattern: readonly string[];
  readonly header: string;
  readonly meaning: string;
  /** What a list or table of such tables is to hold; null for a table that there is once. */
  readonly members: string | null;
  /** Empty where people choose the names (`isOpen`), and where all below it are tables. */
  readonly keys: readonly string[];
  /** The keys of tables below it. */
  readonly tables: readonly string[];
  /** Any key is one, and all mean the same. */
  readonly isOpen: boolean;
  /** Where the file has none, it is not shown among what holds. */
  readonly isOptional: boolean;
  keyDoc(key: string): KeyDoc;
  /** What one key allows; also tells its default. */
  keySchema(key: string): z.ZodType;
}

interface SectionPlan {
  readonly at: string;
  readonly meaning: string;
  /** The keys, or what any key takes; `null`: it has tables alone. */
  readonly keys: Readonly<Record<string, z.ZodType>> | z.ZodType | null;
  readonly members?: string;
  readonly isOptional?: boolean;
}

/** The header of the pattern, as it would be written: `[backends.NAME]`, `[[shares]]`. */
function headerOf(pattern: readonly string[]): string {
  const names = pattern.filter((segment) => segment !== ANY_PLACE);
  const placeholder = pattern[0] === "backends" ? ["NAME", "TOOL"] : [];
  const dotted = names.map((name) => (name === ANY_NAME ? (placeholder.shift() ?? "NAME") : name)).join(".");
  return pattern.at(-1) === ANY_PLACE ? `[[${dotted}]]` : `[${dotted}]`;
}

function sectionDoc({ at, meaning, keys, members, isOptional = false }: SectionPlan): SectionDoc {
  const pattern = at.split(".");
  const name = pattern.filter((segment) => segment !== ANY_NAME && segment !== ANY_PLACE).join(".");
  const open = keys instanceof z.ZodType ? keys : null;
  const shape = keys === null || keys instanceof z.ZodType ? {} : keys;
  const leaves = Object.keys(shape).filter((key) => {
    const schema = shape[key];
    return schema !== undefined && keyDocs.has(schema);
  });
  const keySchema = (key: string): z.ZodType => {
    const schema = open ?? (leaves.includes(key) ? shape[key] : undefined);
    if (schema === undefined) throw new TypeError(`${name} has no key ${key}`);
    return schema;
  };
  return {
    name,
    pattern,
    header: headerOf(pattern),
    meaning,
    members: members ?? null,
    keys: leaves,
    tables: Object.keys(shape).filter((key) => !leaves.includes(key)),
    isOpen: open !== null,
    isOptional,
    keySchema,
    keyDoc(key) {
      const doc = keyDocs.get(keySchema(key));
      if (doc === undefined) throw new TypeError(`${name}.${key} has no documentation`);
      return doc;
    },
  };
}

/** All sections, in the order in which people read them; a table's own tables follow it. */
export const SECTIONS: readonly SectionDoc[] = (
  [
    {
      at: "global",
      meaning: "What holds for all shares. Every key has a default.",
      keys: globalSchema.shape,
    },
    {
      at: "sync",
      meaning: "How changes of this file are noticed and applied. Every key has a default.",
      keys: syncSchema.shape,
    },
    {
      at: "notify",
      meaning: "What is told by a notification on the desktop. Without this section nothing is.",
      keys: notifySchema.shape,
      isOptional: true,
    },
    {
      at: "shares.#",
      meaning: "One block per share; none is fine.",
      keys: shareSchema.shape,
      members: "shares",
    },
    {
      at: "aliases.#",
      meaning:
        "One block per alias: a link to a folder inside a share, which leads there whatever route is in use. None is fine.",
      keys: aliasSchema.shape,
      members: "aliases",
    },
    {
      at: "server",
      meaning:
        "Where the gateway listens for MCP clients. It is started when backends or this section are configured; every key has a default.",
      keys: serverSchema.shape,
      isOptional: true,
    },
    {
      at: "server.management",
      meaning:
        "The management API and the page in a browser, at the gateway's address. Every key has a default.",
      keys: managementSchema.shape,
      isOptional: true,
    },
    {
      at: "backends.*",
      meaning:
        "One block per MCP server behind the gateway, under a name of your choice: letters, digits, `_` and `-`, beginning with a letter. When two that are new offer the same name, the first in the file has it. Either `command` or `url` is needed.",
      keys: backendSchema.shape,
      members: "backends",
    },
    {
      at: "backends.*.env",
      meaning: "Environment variables of the server, besides the few that every program needs. For `stdio`.",
      keys: variableSchema,
    },
    {
      at: "backends.*.headers",
      meaning: "Headers of every request to the server. For `streamable-http`.",
      keys: headerSchema,
    },
    {
      at: "backends.*.auth",
      meaning:
        "How the gateway signs in to the server by OAuth. For `streamable-http`; without it a server that asks for a login is signed in to with `mountaineer backends login NAME`, as with every key's default.",
      keys: backendAuthSchema.shape,
      isOptional: true,
    },
    {
      at: "backends.*.sandbox",
      meaning:
        "Keeps the program apart from your files, from the network and from other programs. For `stdio` on Linux; never started without it.",
      keys: sandboxSchema.shape,
      isOptional: true,
    },
    {
      at: "backends.*.routes.#",
      meaning:
        "One block per way to the server, in order of preference, instead of the backend's own `command` or `url`: a program here, an address in your network, one elsewhere. The first that works serves.",
      keys: routeSchema.shape,
      members: "routes",
    },
    {
      at: "backends.*.routes.#.env",
      meaning: "Environment variables of the program of this route.",
      keys: variableSchema,
    },
    {
      at: "backends.*.routes.#.headers",
      meaning: "Headers of every request over this route.",
      keys: headerSchema,
    },
    {
      at: "backends.*.routes.#.auth",
      meaning: "How the gateway signs in over this route. A person signs in over the first route alone.",
      keys: backendAuthSchema.shape,
      isOptional: true,
    },
    {
      at: "backends.*.routes.#.sandbox",
      meaning: "Keeps the program of this route apart.",
      keys: sandboxSchema.shape,
      isOptional: true,
    },
    {
      at: "backends.*.timeouts",
      meaning: "How long the gateway waits for the server.",
      keys: timeoutsSchema.shape,
    },
    {
      at: "backends.*.filters",
      meaning: "What of the server is published.",
      keys: backendSchema.shape.filters.unwrap().shape,
    },
    {
      at: "backends.*.filters.tools",
      meaning: "Which of its tools are published.",
      keys: filterSchemas.tools.shape,
    },
    {
      at: "backends.*.filters.resources",
      meaning: "Which of its resources are published.",
      keys: filterSchemas.resources.shape,
    },
    {
      at: "backends.*.filters.prompts",
      meaning: "Which of its prompts are published.",
      keys: filterSchemas.prompts.shape,
    },
    {
      at: "backends.*.tool_overrides.*",
      meaning:
        "One block per tool that is to be called or described otherwise, under the server's own name for it.",
      keys: toolOverrideSchema.shape,
      members: "tools",
    },
    {
      at: "conflict_resolution",
      meaning: "What happens when two backends offer the same name. Every key has a default.",
      keys: conflictSchema.shape,
      isOptional: true,
    },
    {
      at: "optimizer",
      meaning: "Fewer tools in a client's list, for those that read it whole into every conversation.",
      keys: optimizerSchema.shape,
      isOptional: true,
    },
    {
      at: "groups.*",
      meaning:
        "One block per group: a part of everything, which is served at `/mcp/NAME` and by `mountaineer mcp --group NAME`. Both keys must fit.",
      keys: groupShape,
      members: "groups",
    },
    {
      at: "profiles.#",
      meaning: "One block per kind of client that is to be served otherwise; the first that fits counts.",
      keys: profileSchema.shape,
      members: "profiles",
    },
    {
      at: "incoming_auth",
      meaning: "Who may come in.",
      keys: incomingAuthSchema.shape,
      isOptional: true,
    },
    {
      at: "incoming_auth.users.#",
      meaning: "One block per user who has a token.",
      keys: userSchema.shape,
      members: "users",
    },
    {
      at: "incoming_auth.scopes",
      meaning:
        "The roles that a scope of a token gives, by the scope's name. Each scope NAME is the role `scope:NAME`, too.",
      keys: scopeSchema,
      isOptional: true,
    },
    {
      at: "incoming_auth.required_claims",
      meaning: "What a token must say besides, by the claim's name. For `jwt` and `oidc`.",
      keys: claimSchema,
      isOptional: true,
    },
    {
      at: "authorization",
      meaning: "Who may use what. Without this section everybody who comes in may use everything.",
      keys: authorizationSchema.shape,
      isOptional: true,
    },
    {
      at: "authorization.policies.#",
      meaning: "One block per policy; the first that fits decides, and lists show only what one may use.",
      keys: policySchema.shape,
      members: "policies",
    },
    {
      at: "authorization.policies.#.arguments",
      meaning: "Which calls the policy fits, by the values of their arguments; all that are named must fit.",
      keys: argumentSchema,
    },
    {
      at: "limits",
      meaning:
        "What one principal (a user, everybody without a token, the owner) may use of the gateway. Every key has a default, which a person with a dozen agents never meets.",
      keys: limitsSchema.shape,
      isOptional: true,
    },
    {
      at: "limits.overrides.#",
      meaning: "Other limits for some; the first block that fits counts.",
      keys: limitsOverrideSchema.shape,
      members: "overrides",
    },
    {
      at: "audit",
      meaning:
        "Who called what, and how it ended, and who was refused: one JSON object per line. Without this section nothing is written.",
      keys: auditSchema.shape,
      isOptional: true,
    },
    {
      at: "trust",
      meaning:
        "What is believed of the servers behind the gateway and of changes of this file. Every key has a default.",
      keys: trustSchema.shape,
      isOptional: true,
    },
    {
      at: "telemetry",
      meaning:
        "Traces and metrics, for OpenTelemetry and Prometheus. Without this section nothing is measured.",
      keys: telemetrySchema.shape,
      isOptional: true,
    },
    {
      at: "telemetry.headers",
      meaning: "Headers of everything that is sent, such as `Authorization`.",
      keys: telemetryHeaderSchema,
      isOptional: true,
    },
    {
      at: "fleet",
      meaning:
        "Several machines that know of each other, over NATS with JetStream. Without this section nothing of it is loaded.",
      keys: fleetSchema.shape,
      isOptional: true,
    },
  ] satisfies readonly SectionPlan[]
).map(sectionDoc);

function fits(pattern: readonly string[], path: KeyPath, isPerson: boolean): boolean {
  return pattern.every((expected, index) => {
    const segment = path[index];
    if (expected === ANY_PLACE)
      return typeof segment === "number" || (isPerson && typeof segment === "string");
    if (expected === ANY_NAME) return typeof segment === "string";
    return segment === expected;
  });
}

/** The section of the table at `path`; null when it is none, or nothing that the configuration knows. */
export function sectionAt(path: KeyPath): SectionDoc | null {
  return SECTIONS.find(({ pattern }) => pattern.length === path.length && fits(pattern, path, false)) ?? null;
}

/** The same for a path as people type it, in which a member of a list may go by its name. */
export function sectionNamed(path: KeyPath): SectionDoc | null {
  return SECTIONS.find(({ pattern }) => pattern.length === path.length && fits(pattern, path, true)) ?? null;
}

/** The innermost section whose table is at `path` or around it. */
export function sectionAround(path: KeyPath): SectionDoc | null {
  for (let length = path.length; length > 0; length -= 1) {
    const section = sectionAt(path.slice(0, length));
    if (section !== null) return section;
  }
  return null;
}

/** The section that the members of the list or table at `path` have; null when it holds no such members. */
export function memberSection(path: KeyPath): SectionDoc | null {
  return (
    SECTIONS.find(({ pattern, members }) => {
      return (
        members !== null && pattern.length === path.length + 1 && fits(pattern.slice(0, -1), path, false)
      );
    }) ?? null
  );
}

/** The keys that may stand in the table of a section. */
export function knownKeys(section: SectionDoc): readonly string[] {
  return [...section.keys, ...section.tables];
}

/** The names of the tables at the top of the file. */
export const TOP_NAMES: readonly string[] = [...new Set(SECTIONS.map(({ pattern }) => pattern[0] ?? ""))];
