// Owns the starter configuration: every option, explained and commented out, so that the file is valid as it is.
import { constants } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensurePrivateFolder } from "../runtime/durable-file.ts";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import { configJsonSchema } from "./json-schema.ts";
import { type KeyDoc, SECTIONS, type SectionDoc } from "./schema.ts";

const WIDTH = 98;

/** The JSON Schema's name, beside the starter whose first line names it. */
const SCHEMA_FILE = "config.schema.json";

const INTRODUCTION = `#:schema ./${SCHEMA_FILE}
# Mountaineer's configuration.
#
# Everything here is commented out, and a file without settings is a valid one. To set an option, remove
# the "#" before it. Lines that begin with "# " only explain. Changes are checked as a whole: a mistake
# is reported with its line, and what was running goes on.
`;

const RECOVERY = `When a share runs over the fallback and Thunderbolt is back, these two decide what happens:
  auto_failback  lsof_recheck   no files are open        files are open
  true           true           goes back                "TB Ready"; goes back once they are closed
  true           false          goes back                "TB Ready"; you switch
  false          true           goes back                "TB Ready"; goes back once they are closed
  false          false          "TB Ready"; you switch   "TB Ready"; you switch
Both off = only when you say so (\`mountaineer switch\`). Nothing ever goes back by itself over open files.`;

const SHARES = `One block per share. Two addresses of one server: Thunderbolt and the other. The password stays out of
this file: name an environment variable that holds it. Without a password the share is mounted as guest.`;

/** What is said before a key, besides its own meaning. */
const BEFORE_KEY: Readonly<Record<string, string>> = { "global.auto_failback": RECOVERY };
const BEFORE_SECTION: Readonly<Record<string, string>> = { shares: SHARES };

function comment(text: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "#" : `# ${line}`))
    .join("\n");
}

function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && line.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}

function explanation({ meaning, unit, absent }: KeyDoc): string {
  const facts = [unit, absent === null ? "required" : `default: ${absent}`].filter((fact) => fact !== null);
  return comment(wrapped(`${meaning} (${facts.join("; ")})`));
}

function section(doc: SectionDoc): string {
  const before = BEFORE_SECTION[doc.name];
  const parts = [
    comment(wrapped(doc.meaning)),
    ...(before === undefined ? [] : [comment(before)]),
    `#${doc.header}`,
    "",
  ];
  for (const key of doc.keys) {
    const keyDoc = doc.keyDoc(key);
    const first = BEFORE_KEY[`${doc.name}.${key}`];
    if (first !== undefined) parts.push(comment(first));
    parts.push(explanation(keyDoc), `#${key} = ${keyDoc.example}`, "");
  }
  return parts.join("\n");
}

/** The starter's text: TOML, every option commented out as `#key = value`, explanations as `# text`. */
export function starterText(): string {
  return `${[INTRODUCTION, ...SECTIONS.map(section)].join("\n").trimEnd()}\n`;
}

/** Only a help for editors: that it cannot be written is no reason to fail. */
async function writeSchemaBeside(path: string): Promise<void> {
  try {
    const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
    await writeFile(join(dirname(path), SCHEMA_FILE), text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY);
  await folder.sync();
}

/**
 * Writes the starter to `path`, readable by its owner alone, in a private folder that is made if need be, and
 * beside it the JSON Schema that its first line names to editors, unless a file of that name is there. Never touches
 * what is there: `existed` is true then. Durable when it resolves; rejects with `home_unwritable`.
 */
export async function writeStarter(path: string): Promise<{ readonly existed: boolean }> {
  try {
    await ensurePrivateFolder(dirname(path));
    // A crash leaves a part of it at worst, and each part is a valid configuration too.
    await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    await file.writeFile(starterText());
    await file.sync();
    await writeSchemaBeside(path);
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
