// The text of imported backends: one block each, with a comment for each of the client's settings that the
// import could not use.
import { editConfig } from "../config/edit/edit.ts";
import { type ConfigTable, type ConfigValue, isTableValue } from "../config/edit/edit-value.ts";
import { tomlDottedKey, tomlLines } from "../config/edit/toml-value.ts";
import type { ConfigFormat } from "../config/snapshot.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import { safeLine } from "../runtime/text/safe-line.ts";
import type { PlannedBackend } from "./import-plan.ts";

const LONGEST_COMMENT = 240;

function comments({ name, title, problem, wanted, isWaiting, unusedSettings }: PlannedBackend): string[] {
  const lines = [
    `from ${title}`,
    ...(problem === null ? [] : [`disabled: ${problem}`]),
    ...wanted.map((secret) => {
      const command = shellCommand`mountaineer secret set ${secret}`;
      return isWaiting
        ? `disabled until this stores its secret: ${command}`
        : `to be stored first: ${command}`;
    }),
    ...(problem === null ? [] : [`then: ${shellCommand`mountaineer backends enable ${name}`}`]),
    ...unusedSettings.map((line) => `not used here: ${line}`),
  ];
  return lines.map((line) => `# ${safeLine(line, LONGEST_COMMENT)}`);
}

/** Returns the lines of a table as one section. Tables inside this table become separate sections, below it. */
function sectionLines(path: readonly string[], table: ConfigTable, remarks: readonly string[]): string[] {
  const plain: [string, ConfigValue][] = [];
  const inner: [string, ConfigTable][] = [];
  for (const [key, value] of Object.entries(table)) {
    if (isTableValue(value)) inner.push([key, value]);
    else plain.push([key, value]);
  }
  const head =
    plain.length + remarks.length === 0
      ? []
      : [`[${tomlDottedKey(path)}]`, ...remarks, ...tomlLines(Object.fromEntries(plain))];
  const sections = [head, ...inner.map(([key, value]) => sectionLines([...path, key], value, []))];
  return sections
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

/** The file's text with the backends added at its end. Rejects as `editConfig` does. */
export async function withBackends(
  text: string,
  format: ConfigFormat,
  backends: readonly PlannedBackend[],
): Promise<string> {
  if (backends.length === 0) return text;
  // A table on one line takes no sections beside it.
  if (format === "yaml" || /^[ \t]*backends[ \t]*=/m.test(text)) {
    const { bytes } = await editConfig({
      bytes: Buffer.from(text),
      format,
      edits: backends.map(({ name, table }) => ({ kind: "add-backend", name, backend: table }) as const),
    });
    const remarks = backends.flatMap((backend) => [
      `# ${backend.name}: ${comments(backend)[0]?.slice(2)}`,
      ...comments(backend).slice(1),
    ]);
    return withLineEnds(text, `${Buffer.from(bytes).toString("utf8").trimEnd()}\n${remarks.join("\n")}\n`);
  }
  const blocks = backends.map((backend) =>
    sectionLines(["backends", backend.name], backend.table, comments(backend)).join("\n"),
  );
  const before = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return withLineEnds(text, `${before}${before === "" ? "" : "\n"}${blocks.join("\n\n")}\n`);
}

/** The new text with the line ends of the old one. */
function withLineEnds(before: string, after: string): string {
  return before.includes("\r\n") ? after.replace(/\r?\n/g, "\r\n") : after;
}
