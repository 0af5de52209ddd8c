// Owns the configuration file's keys: their types, defaults, limits, units and what they mean.
// Validation, the starter, the reference in docs/ and the JSON Schema for editors are all made from here.
import * as z from "zod";
import { parseReference, REFERENCE_FORM } from "../secrets/reference.ts";
import { HOST_EXPECTED, LISTEN_ADDRESS_EXPECTED, parseHost, parseListenAddress } from "./host.ts";
import { describeKind, describeServerShare, describeValue } from "./mistakes.ts";
import {
  parseInterfaceName,
  parseServerShareName,
  parseShareName,
  parseUserName,
  SHARE_NAME_EXPECTED,
  type TextReading,
} from "./names.ts";
import { PATH_EXPECTED, parsePath } from "./paths.ts";

/** What a person needs to know of one key. */
export interface KeyDoc {
  readonly type: string;
  readonly unit: string | null;
  /** What holds when the key is absent, in words or as it would be written; null when it is required. */
  readonly absent: string | null;
  readonly meaning: string;
  /** The `expected` of a mistake here. */
  readonly expected: string;
  /** A value as TOML writes it. */
  readonly example: string;
  /** The values there are, for "did you mean"; null for any. */
  readonly choices: readonly string[] | null;
}

/** What every key of the schema means; each leaf of `configFileSchema` has an entry. */
export const keyDocs: z.core.$ZodRegistry<KeyDoc> = z.registry<KeyDoc>();

/** The detail that a check of ours adds to zod's issue. */
export interface IssueDetail {
  readonly found: string;
  readonly expected: string;
  readonly hint: string | null;
}

type Described = Pick<KeyDoc, "meaning" | "example"> & Partial<KeyDoc>;

function document<Schema extends z.ZodType>(schema: Schema, doc: KeyDoc): Schema {
  keyDocs.add(schema, doc);
  return schema;
}

function numberKey(limits: {
  min: number;
  max: number;
  whole?: boolean;
  absent: number;
  unit: string | null;
  meaning: string;
}) {
  const bare = limits.whole === true ? z.int() : z.number();
  const kind = limits.whole === true ? "whole number" : "number";
  return document(bare.min(limits.min).max(limits.max).default(limits.absent), {
    type: kind,
    unit: limits.unit,
    absent: String(limits.absent),
    meaning: limits.meaning,
    expected: `a ${kind}${limits.unit === null ? "" : ` of ${limits.unit}`} from ${limits.min} to ${limits.max}`,
    example: String(limits.absent),
    choices: null,
  });
}

function toggleKey(absent: boolean, meaning: string) {
  return document(z.boolean().default(absent), {
    type: "true or false",
    unit: null,
    absent: String(absent),
    meaning,
    expected: "true or false",
    example: String(absent),
    choices: null,
  });
}

function refuse(context: z.core.$RefinementCtx, input: unknown, detail: IssueDetail): never {
  context.issues.push({ code: "custom", input, params: { detail } });
  return z.NEVER;
}

function readText(read: (text: string) => TextReading, describe: (text: string) => string = describeValue) {
  return z.string().transform((text, context) => {
    const reading = read(text);
    if (reading.ok) return reading.value;
    return refuse(context, text, {
      found: describe(text),
      expected: reading.expected,
      hint: reading.hint,
    });
  });
}

function textDoc(doc: Described): KeyDoc {
  return { type: "text", unit: null, absent: null, expected: "a text in quotes", choices: null, ...doc };
}

function pathKey(doc: Described) {
  return document(readText(parsePath).optional(), textDoc({ type: "path", expected: PATH_EXPECTED, ...doc }));
}

function hostKey(doc: Described) {
  const schema = z.string().transform((text, context) => {
    const reading = parseHost(text);
    if (reading.ok) return reading.address;
    return refuse(context, text, { found: reading.found, expected: HOST_EXPECTED, hint: reading.hint });
  });
  const absent = "required, unless both paths of driver `local` are given";
  return document(schema.optional(), textDoc({ type: "host", expected: HOST_EXPECTED, absent, ...doc }));
}

function interfaceKey(doc: Described) {
  const expected = "the name of a network interface, such as `en5` or `eth0`";
  const absent = "the interface whose subnet holds the host";
  return document(
    readText(parseInterfaceName).optional(),
    textDoc({ type: "interface", expected, absent, ...doc }),
  );
}

function choiceKey<const Choices extends readonly [string, ...string[]]>(
  choices: Choices,
  absent: NoInfer<Choices[number]>,
  doc: { readonly meaning: string },
) {
  const expected = `one of ${choices.map((choice) => `"${choice}"`).join(", ")}`;
  const example = `"${absent}"`;
  return document(z.enum(choices).default(absent), {
    ...textDoc({ type: expected, expected, absent: example, choices, example, ...doc }),
  });
}

const PASSWORD_EXPECTED = `\`${REFERENCE_FORM}\`, the name of an environment variable that holds it`;

function passwordHint(text: string): string {
  if (text.startsWith("secret:")) return `only \`${REFERENCE_FORM}\` is understood here`;
  if (text.includes("$"))
    return "the whole value is one reference: a name of letters, digits and `_`, in braces after `$`";
  return "no secrets in config: put it into an environment variable and name that";
}

const passwordSchema = z.string().transform((text, context) => {
  // Never says what was found: it may well be a password.
  const reference = parseReference(text);
  if (reference !== null) return reference;
  return refuse(context, null, {
    found: describeKind(text),
    expected: PASSWORD_EXPECTED,
    hint: passwordHint(text),
  });
});

/** The ways to mount that a configuration may name. */
export const DRIVER_CHOICES = ["auto", "rclone", "local"] as const;

export const globalSchema = z.strictObject({
  shares_root: document(
    readText(parsePath).default("~/Shares"),
    textDoc({
      type: "path",
      expected: PATH_EXPECTED,
      absent: '"~/Shares"',
      meaning:
        "The folder with one stable link per share: open your files below it, whatever route is in use.",
      example: '"~/Shares"',
    }),
  ),
  mount_root: pathKey({
    absent: 'macOS "/Volumes", Linux `volumes` in Mountaineer\'s home',
    meaning: "The folder in which shares are mounted.",
    example: '"~/.mountaineer/volumes"',
  }),
  check_interval_secs: numberKey({
    min: 0.1,
    max: 3600,
    absent: 2,
    unit: "seconds",
    meaning:
      "How often every share is looked at, besides at once on each network change; fractions are allowed.",
  }),
  network_debounce_ms: numberKey({
    min: 0,
    max: 60_000,
    whole: true,
    absent: 500,
    unit: "milliseconds",
    meaning:
      "After a network change was acted upon, how long further changes are collected before the next look.",
  }),
  connect_timeout_ms: numberKey({
    min: 10,
    max: 60_000,
    whole: true,
    absent: 800,
    unit: "milliseconds",
    meaning: "How long a host has to accept a connection and answer SMB, both together.",
  }),
  mount_hang_secs: numberKey({
    min: 0.5,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long a mount may give no answer before it counts as dead.",
  }),
  auto_failback: toggleKey(
    false,
    "Go back to Thunderbolt by itself, once it has been stable, when no files are open on the share.",
  ),
  auto_failback_stable_secs: numberKey({
    min: 0,
    max: 86_400,
    absent: 30,
    unit: "seconds",
    meaning: "How long Thunderbolt must have answered without a gap before a share may go back to it.",
  }),
  lsof_recheck: toggleKey(
    true,
    "While a share waits to go back to Thunderbolt, look for open files on every check and go back once they are closed.",
  ),
});

export const shareSchema = z.strictObject({
  name: document(
    readText(parseShareName),
    textDoc({
      expected: SHARE_NAME_EXPECTED,
      meaning: "What the share is called here: its link in `shares_root`, and its name in every command.",
      example: '"CORE"',
    }),
  ),
  thunderbolt_host: hostKey({
    meaning: "The server over the preferred, fast route. The port is 445 unless written.",
    example: '"10.10.10.1"',
  }),
  fallback_host: hostKey({
    meaning: "The same server over the other route.",
    example: '"nas.local"',
  }),
  username: document(
    readText(parseUserName).optional(),
    textDoc({ absent: "your login name", meaning: "The user on the server.", example: '"ann"' }),
  ),
  share_name: document(
    readText(parseServerShareName, describeServerShare).optional(),
    textDoc({ absent: "`name`", meaning: "What the server calls the share.", example: '"core"' }),
  ),
  password: document(
    passwordSchema.optional(),
    textDoc({
      type: "reference",
      expected: PASSWORD_EXPECTED,
      absent: "guest",
      meaning: `The password, as a reference: \`${REFERENCE_FORM}\` names an environment variable. A password itself is refused.`,
      example: `"\${CORE_PASSWORD}"`,
    }),
  ),
  thunderbolt_interface: interfaceKey({
    meaning: "The interface that leads to `thunderbolt_host`.",
    example: '"bridge0"',
  }),
  fallback_interface: interfaceKey({
    meaning: "The interface that leads to `fallback_host`.",
    example: '"en0"',
  }),
  driver: choiceKey(DRIVER_CHOICES, "auto", {
    meaning:
      "How the share is mounted: `rclone` is SMB through FUSE; `local` is a folder per route, switched by a link; `auto` is `local` when the paths are given, else `rclone`.",
  }),
  thunderbolt_path: pathKey({
    absent: "none; only for driver `local`",
    meaning:
      "Driver `local`: the folder that stands for the Thunderbolt route. Without hosts, the route is there while the folder is.",
    example: '"~/nas-thunderbolt"',
  }),
  fallback_path: pathKey({
    absent: "none; only for driver `local`",
    meaning: "Driver `local`: the folder that stands for the fallback route.",
    example: '"~/nas-ethernet"',
  }),
});

/** How a change of the file may be noticed. */
export const DETECTION_CHOICES = ["mtime", "hash", "inotify"] as const;
/** What may follow a reload that failed. */
export const ON_FAILURE_CHOICES = ["backoff", "fixed", "stop"] as const;

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

export const serverSchema = z.strictObject({
  host: document(
    readText(parseListenAddress).default("127.0.0.1"),
    textDoc({
      type: "host",
      expected: LISTEN_ADDRESS_EXPECTED,
      absent: '"127.0.0.1"',
      meaning: "The address to listen on.",
      example: '"127.0.0.1"',
    }),
  ),
  port: numberKey({
    min: 1,
    max: 65_535,
    whole: true,
    absent: 9000,
    unit: null,
    meaning: "The TCP port to listen on.",
  }),
});

export const configFileSchema = z.strictObject({
  global: globalSchema.prefault({}),
  sync: syncSchema.prefault({}),
  server: serverSchema.optional(),
  shares: z.array(shareSchema).default([]),
});

/** A valid file's content, in the file's spelling, with defaults filled in. */
export type ConfigFile = z.output<typeof configFileSchema>;
export type ShareFile = z.output<typeof shareSchema>;

/** One section of the file: what it is for, how its header is written, and its keys. */
export interface SectionDoc {
  readonly name: keyof ConfigFile;
  readonly header: string;
  readonly meaning: string;
  readonly keys: readonly string[];
  keyDoc(key: string): KeyDoc;
  /** What one key allows; also tells its default. */
  keySchema(key: string): z.ZodType;
}

function sectionDoc(
  name: keyof ConfigFile,
  header: string,
  meaning: string,
  shape: Readonly<Record<string, z.ZodType>>,
): SectionDoc {
  const keySchema = (key: string): z.ZodType => {
    const schema = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (schema === undefined) throw new TypeError(`${name} has no key ${key}`);
    return schema;
  };
  return {
    name,
    header,
    meaning,
    keys: Object.keys(shape),
    keySchema,
    keyDoc(key) {
      const doc = keyDocs.get(keySchema(key));
      if (doc === undefined) throw new TypeError(`${name}.${key} has no documentation`);
      return doc;
    },
  };
}

/** All sections, in the order in which people read them. */
export const SECTIONS: readonly SectionDoc[] = [
  sectionDoc("global", "[global]", "What holds for all shares. Every key has a default.", globalSchema.shape),
  sectionDoc(
    "sync",
    "[sync]",
    "How changes of this file are noticed and applied. Every key has a default.",
    syncSchema.shape,
  ),
  sectionDoc(
    "server",
    "[server]",
    "Where the gateway will listen. Nothing listens there yet; the keys are checked.",
    serverSchema.shape,
  ),
  sectionDoc("shares", "[[shares]]", "One block per share; none is fine.", shareSchema.shape),
];
