// Declares a key of the configuration: its values, its default and its documentation.
import * as z from "zod";
import { MountaineerError } from "../../runtime/errors.ts";
import { parseReference, REFERENCE_FORMS, SECRET_NAME_RULE } from "../../secrets/reference.ts";
import { HOST_EXPECTED, parseHost } from "../host.ts";
import { describeKind, describeValue } from "../mistakes.ts";
import { parseInterfaceName, type TextReading } from "../names.ts";
import { PATH_EXPECTED, parsePath } from "../paths.ts";

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
  /** A mistake never tells what was found, since it may be a secret. */
  readonly isSecret: boolean;
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

/** Registers what a key means. Throws `internal` for a schema that is another key's: both would mean the same. */
export function document<Schema extends z.ZodType>(schema: Schema, doc: KeyDoc): Schema {
  if (keyDocs.has(schema)) throw new MountaineerError("internal", `two keys share a schema: ${doc.meaning}`);
  keyDocs.add(schema, doc);
  return schema;
}

/** A number from `min` to `max`. */
export function numberKey(limits: {
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
    isSecret: false,
  });
}

/** True or false. */
export function toggleKey(absent: boolean, meaning: string) {
  return document(z.boolean().default(absent), {
    type: "true or false",
    unit: null,
    absent: String(absent),
    meaning,
    expected: "true or false",
    example: String(absent),
    choices: null,
    isSecret: false,
  });
}

/** Adds a mistake of ours to what zod found, and returns what a transform returns then. */
export function refuse(context: z.core.$RefinementCtx, input: unknown, detail: IssueDetail): never {
  context.issues.push({ code: "custom", input, params: { detail } });
  return z.NEVER;
}

/** A text as `read` reads it; `describe` says what was found when it is refused. */
export function readText(
  read: (text: string) => TextReading,
  describe: (text: string) => string = describeValue,
) {
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

/** The documentation of a key that takes a text, but for what `doc` says. */
export function textDoc(doc: Described): KeyDoc {
  return {
    type: "text",
    unit: null,
    absent: null,
    expected: "a text in quotes",
    choices: null,
    isSecret: false,
    ...doc,
  };
}

/** A path, perhaps absent. */
export function pathKey(doc: Described) {
  return document(readText(parsePath).optional(), textDoc({ type: "path", expected: PATH_EXPECTED, ...doc }));
}

/** A host with its port, perhaps absent. */
export function hostKey(doc: Described) {
  const schema = z.string().transform((text, context) => {
    const reading = parseHost(text);
    if (reading.ok) return reading.address;
    return refuse(context, text, { found: reading.found, expected: HOST_EXPECTED, hint: reading.hint });
  });
  const absent = "required, unless both paths of driver `local` are given";
  return document(schema.optional(), textDoc({ type: "host", expected: HOST_EXPECTED, absent, ...doc }));
}

/** The name of a network interface, perhaps absent. */
export function interfaceKey(doc: Described) {
  const expected = "the name of a network interface, such as `en5` or `eth0`";
  const absent = "the interface whose subnet holds the host";
  return document(
    readText(parseInterfaceName).optional(),
    textDoc({ type: "interface", expected, absent, ...doc }),
  );
}

/** One of some words. */
export function choiceKey<const Choices extends readonly [string, ...string[]]>(
  choices: Choices,
  absent: NoInfer<Choices[number]>,
  doc: { readonly meaning: string },
) {
  const example = `"${absent}"`;
  return document(z.enum(choices).default(absent), choiceDoc({ choices, absent: example, example, ...doc }));
}

/** The documentation of a key that takes one of some words. */
export function choiceDoc(doc: Described & { readonly choices: readonly string[] }): KeyDoc {
  const expected = `one of ${doc.choices.map((choice) => `"${choice}"`).join(", ")}`;
  return textDoc({ type: expected, expected, ...doc });
}

/** The documentation of a key that takes a list of texts. */
export function listDoc(doc: Described): KeyDoc {
  const expected = 'a list of texts, such as `["one", "two"]`';
  return textDoc({ type: "list of texts", expected, ...doc });
}

/** What a message says it expected where a secret is referred to. */
export const REFERENCE_EXPECTED = REFERENCE_FORMS;

function referenceHint(text: string): string {
  if (text.startsWith("secret:")) return `a secret's name is ${SECRET_NAME_RULE}`;
  if (text.includes("$"))
    return "the whole value is one reference: a name of letters, digits and `_`, in braces after `$`";
  return "no secrets in config: `mountaineer secret set NAME` keeps it, `secret:NAME` stands for it here";
}

/** `${VARIABLE}` or `secret:NAME`, and nothing else. */
export function readReference() {
  return z.string().transform((text, context) => {
    // Never says what was found: it may well be a password.
    const reference = parseReference(text);
    if (reference !== null) return reference;
    return refuse(context, null, {
      found: describeKind(text),
      expected: REFERENCE_EXPECTED,
      hint: referenceHint(text),
    });
  });
}
