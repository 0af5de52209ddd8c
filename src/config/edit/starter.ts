// The starter configuration: every option explained and commented out, so that the file is valid as it is.
import { constants } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../../runtime/errors.ts";
import { ensurePrivateFolder, syncFolder } from "../../runtime/files/durable-file.ts";
import { wrapped } from "../../runtime/text/plain-text.ts";
import { configJsonSchema, SECTIONS, type SectionDoc } from "../schema/schema.ts";
import type { KeyDoc } from "../schema/schema-keys.ts";

const WIDTH = 98;

/** The JSON Schema's file name; the first line of the starter refers to it. */
const SCHEMA_FILE = "config.schema.json";
const SCHEMA_LINE = `#:schema ./${SCHEMA_FILE}\n`;

const INTRODUCTION = `${SCHEMA_LINE}# Mountaineer's configuration.
#
# Everything here is commented out, and a file without settings is a valid one. To set an option, remove
# the "#" before it. Lines that begin with "# " only explain. Changes are checked as a whole: an error
# is reported with its line, and the previous configuration stays in use.
`;

const RECOVERY = `When a share runs over the fallback and the preferred route is back, these two decide what happens:
  auto_failback  lsof_recheck   no files are open        files are open
  true           true           goes back                "TB Ready"; goes back once they are closed
  true           false          goes back                "TB Ready"; you switch
  false          true           goes back                "TB Ready"; goes back once they are closed
  false          false          "TB Ready"; you switch   "TB Ready"; you switch
Both off = only when you say so (\`mountaineer switch\`). Open files always wait, unless you switch.`;

const BACKENDS = `A program that is started here, or the address of a server. Secrets stay out of this file: what
\`mountaineer secret set NAME\` keeps is \`\${secret:NAME}\` here, an environment variable is
\`\${VARIABLE}\`. The first block is a program, the second an address.`;

const SHARES = `One block per share. Two addresses of one server: the faster one first. The password stays out of
this file: \`mountaineer secret set NAME\` keeps it. Without a password the share is mounted as guest.
For several shares of one NAS, \`[nas.NAME]\` has what they have in common (docs/reference/configuration.md).`;

/** Additional explanations above some keys. */
const BEFORE_KEY: Readonly<Record<string, string>> = { "global.auto_failback": RECOVERY };
const BEFORE_SECTION: Readonly<Record<string, string>> = { shares: SHARES, backends: BACKENDS };

function comment(lines: readonly string[]): string {
  return lines.map((line) => (line === "" ? "#" : `# ${line}`)).join("\n");
}

function explanation({ meaning, unit, absent }: KeyDoc): string {
  const facts = [unit, absent === null ? "required" : `default: ${absent}`].filter((fact) => fact !== null);
  return comment(wrapped(`${meaning} (${facts.join("; ")})`, WIDTH));
}

/** Names of the two example backends: PROGRAM runs a program, ADDRESS is a server at an address. */
const PROGRAM = "files";
const ADDRESS = "search";
const OF_ADDRESS: readonly string[] = ["url", "headers"];
/**
 * Sections and keys that only docs/reference/configuration.md describes: they exclude other keys of the starter, and few people
 * need them.
 */
export const NOT_IN_STARTER: readonly string[] = [
  "nas",
  "shares.nas",
  "backends.auth",
  "backends.routes",
  "backends.routes.env",
  "backends.routes.headers",
  "backends.routes.auth",
  "backends.routes.sandbox",
];

interface Block {
  readonly header: string;
  readonly introduction: readonly string[];
  readonly lines: readonly (readonly [key: string, doc: KeyDoc])[];
}

function exampleHeader(section: SectionDoc, backend: string): string {
  return section.header.replace("NAME", backend).replace("TOOL", "search_files");
}

/**
 * Returns the section's keys in blocks. Backends get two blocks, because a backend is either a program or an address.
 */
function blocksOf(section: SectionDoc): Block[] {
  const before = BEFORE_SECTION[section.name];
  const introduction = [
    comment(wrapped(section.meaning, WIDTH)),
    ...(before === undefined ? [] : [comment(before.split("\n"))]),
  ];
  const lines = (section.isOpen ? [EXAMPLE_NAMES[section.name] ?? "NAME"] : section.keys)
    .filter((key) => !NOT_IN_STARTER.includes(`${section.name}.${key}`))
    .map((key) => [key, section.keyDoc(key)] as const);
  if (section.name === "backends") {
    const ofAddress = lines.filter(([key]) => OF_ADDRESS.includes(key));
    const ofProgram = lines.filter(([key]) => !OF_ADDRESS.includes(key));
    return [
      { header: exampleHeader(section, PROGRAM), introduction, lines: ofProgram },
      { header: exampleHeader(section, ADDRESS), introduction: [], lines: ofAddress },
    ];
  }
  const ofAddress = OF_ADDRESS.some((key) => section.name.endsWith(`.${key}`));
  return [{ header: exampleHeader(section, ofAddress ? ADDRESS : PROGRAM), introduction, lines }];
}

const EXAMPLE_NAMES: Readonly<Record<string, string>> = {
  "backends.env": "FILES_TOKEN",
  "backends.headers": "Authorization",
  "incoming_auth.scopes": '"files:read"',
  "incoming_auth.required_claims": "hd",
  "telemetry.headers": "Authorization",
};

const EXAMPLES: Readonly<Record<string, string>> = { "incoming_auth.type": '"jwt"' };

function sectionText(section: SectionDoc): string {
  return blocksOf(section)
    .map(({ header, introduction, lines }) => {
      const parts = [...introduction, `#${header}`, ""];
      for (const [key, doc] of lines) {
        const name = `${section.name}.${key}`;
        const first = BEFORE_KEY[name];
        if (first !== undefined) parts.push(comment(first.split("\n")));
        parts.push(explanation(doc), `#${key} = ${EXAMPLES[name] ?? doc.example}`, "");
      }
      return parts.join("\n");
    })
    .join("\n");
}

/** The starter's text: TOML, every option commented out as `#key = value`, explanations as `# text`. */
export function starterText(): string {
  const described = SECTIONS.filter(
    ({ name, keys, isOpen }) => (isOpen || keys.length > 0) && !NOT_IN_STARTER.includes(name),
  );
  return `${[INTRODUCTION, ...described.map(sectionText)].join("\n").trimEnd()}\n`;
}

/** The path of the JSON Schema to which `text`, the content of the file at `path`, refers; null if it refers to none. */
export function namedSchema(path: string, text: string): string | null {
  return text.startsWith(SCHEMA_LINE) ? join(dirname(path), SCHEMA_FILE) : null;
}

/**
 * Writes the JSON Schema beside the file at `path` if `text`, the file's content, refers to it. Never
 * replaces a file. A failure to write is ignored, because only editors use the schema.
 */
export async function writeNamedSchema(path: string, text: string): Promise<void> {
  const schemaPath = namedSchema(path, text);
  if (schemaPath === null) return;
  const schema = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
  const written = writeFile(schemaPath, schema, { flag: "wx", mode: 0o600 });
  await written.catch(recoverFrom(isSystemError));
}

/**
 * Writes the starter, or `text` if given, to `path`, readable only by its owner, and creates its private
 * folder if needed. Also writes the JSON Schema beside it, unless that file exists. Never replaces a file at
 * `path`: then `existed` is true. Durable when it resolves; rejects with `home_unwritable`.
 */
export async function writeStarter(
  path: string,
  text = starterText(),
): Promise<{ readonly existed: boolean }> {
  try {
    await ensurePrivateFolder(dirname(path));
    // A crash leaves at worst the beginning of the text, which is harmless: the starter contains only
    // comments, and the text of `init` is shorter than one disk block.
    await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    await file.writeFile(text);
    await file.sync();
    await writeNamedSchema(path, text);
    await syncFolder(dirname(path));
    return { existed: false };
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return { existed: true };
    if (error instanceof MountaineerError) throw error;
    throw new MountaineerError("home_unwritable", `${path} cannot be written: ${errorText(error)}`, {
      cause: error,
    });
  }
}
