// Makes docs/reference/configuration.md and docs/reference/config.schema.json from the schema.

import { LARGEST_FILE_BYTES } from "../../src/config/read/source-text.ts";
import { configJsonSchema, SECTIONS, type SectionDoc } from "../../src/config/schema/schema.ts";
import type { KeyDoc } from "../../src/config/schema/schema-keys.ts";
import type { DocumentGenerator } from "./generator.ts";

const LIMITED = /^a (?:whole )?number(?: of .+?)? from (\S+) to (\S+)$/;

/** A toggle's default says its type, and a text is the rule. */
function typeText({ type, expected, unit, choices }: KeyDoc): string {
  if (choices !== null && choices.length > 1) return choices.map((choice) => `\`${choice}\``).join(" or ");
  const limits = LIMITED.exec(expected);
  const range = limits === null ? type : `${limits[1]} to ${limits[2]}`;
  return range === "true or false" || range === "text" ? "" : [range, unit ?? ""].join(" ").trim();
}

function defaultText(absent: string | null): string {
  if (absent === null) return "required";
  if (absent === "none") return "";
  return /^("[^"]*"|[0-9.]+|true|false)$/.test(absent)
    ? `default \`${absent.replaceAll('"', "")}\``
    : `default: ${absent}`;
}

function keyText(key: string, doc: KeyDoc): string {
  const facts = [typeText(doc), defaultText(doc.absent)].filter(Boolean).join("; ");
  return `- \`${key}\`${facts === "" ? "" : ` (${facts})`}: ${doc.meaning}`;
}

/** A key that an earlier section has in the same words is explained there alone. */
function sectionText(section: SectionDoc, at: number, sections: readonly SectionDoc[]): string {
  const earlier = sections.slice(0, at);
  const lines = [`### \`${section.header}\``, section.meaning];
  const own: string[] = [];
  const known = new Map<SectionDoc, string[]>();
  for (const key of section.isOpen ? ["any name"] : section.keys) {
    const doc = section.keyDoc(key);
    const first = earlier.find((other) => other.isOpen === section.isOpen && hasKey(other, key, doc));
    if (first !== undefined) known.set(first, [...(known.get(first) ?? []), `\`${key}\``]);
    else if (section.isOpen) lines.push(`Any name: ${doc.meaning}`);
    else own.push(keyText(key, doc));
  }
  for (const [{ header, keys, isOpen }, same] of known) {
    const isWhole = isOpen || same.length === keys.length;
    lines.push(`As in \`${header}\`${isWhole ? "." : `: ${same.join(", ")}.`}`);
  }
  if (own.length > 0) lines.push("", ...own);
  return lines.join("\n").concat("\n");
}

function hasKey(section: SectionDoc, key: string, { type, meaning }: KeyDoc): boolean {
  if (!section.isOpen && !section.keys.includes(key)) return false;
  const doc = section.keyDoc(key);
  return doc.type === type && doc.meaning === meaning;
}

export const configurationReference: DocumentGenerator = {
  path: "docs/reference/configuration.md",
  generate: () => `# Configuration

<!-- npm run docs -->

A share and an MCP server, in TOML; both are optional:

\`\`\`toml
[[shares]]
name = "CORE"
thunderbolt_host = "10.10.10.1"
fallback_host = "nas.local"
password = "\${CORE_PASSWORD}"

[backends.files]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]
\`\`\`

The same share in YAML:

\`\`\`yaml
shares:
  - name: CORE
    thunderbolt_host: 10.10.10.1
    fallback_host: nas.local
    password: \${CORE_PASSWORD}
\`\`\`

The file is one of \`config.toml\`, \`config.yaml\` and \`config.yml\` in the home: \`~/.mountaineer\`, or the folder in
\`$MOUNTAINEER_HOME\`. \`--config FILE\` names another file. Changes apply when you [save](hot-reload.md).

## Sections

${SECTIONS.filter(({ keys, isOpen }) => isOpen || keys.length > 0)
  .map(sectionText)
  .join("\n")}
## How values are written

- **Hosts**: a name, an IPv4 or an IPv6 address, each with an optional port (\`nas.local:4450\`, \`[fd00::1]:4450\`). The two hosts of a share
  differ in host or port.
- **Paths** are absolute, or begin with \`~/\`. In **patterns** \`*\` stands for anything.
- **Names of shares** are names of folders, different in more than letter case, and not \`Links\`. **Names of servers** begin with a letter
  and have letters, digits, \`_\` and \`-\`, at most 64.
- **References** to [secrets](../use/secrets.md) stand for passwords and tokens: \`\${VARIABLE}\` of the \`mountaineer\` process,
  \`secret:NAME\`, or \`\${file:PATH}\`. While one is not set, only what needs it does not run.
- **\`env\` and \`headers\`** take references anywhere: \`"Bearer \${TOKEN}"\`, \`"\${secret:NAME}"\`; \`$\${\` stands for \`\${\`. Arguments and addresses take only
  \`\${secret:NAME}\`.

## Servers

Tables can be separate blocks or one line:

\`\`\`toml
[server]
port = 9000

[backends.files]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]
filters = { tools = { deny = ["write_*", "move_file"] } }

[backends.search]
url = "https://mcp.example.com/mcp"
timeouts = { call = 300 }

[backends.search.headers]
Authorization = "Bearer \${SEARCH_TOKEN}"

[backends.search.tool_overrides.query]
name = "search_web"
description = "Searches the web."

[conflict_resolution]
strategy = "prefix"
\`\`\`

Filters and overrides use the server's own names. Clients then see \`files_read_file\` and \`search_search_web\`.

## Changing the file from the command line

\`\`\`sh
mountaineer config set global.check_interval_secs 0.5
mountaineer config set shares.CORE.on_route_change remount
mountaineer config set 'shares."my.share".username' ann
mountaineer config set backends.files.timeouts.call 120
mountaineer config set backends.files.env.API_TOKEN '\${FILES_TOKEN}'
mountaineer config set incoming_auth.users.ann.roles '["developer"]'
mountaineer config set lsof-recheck off
mountaineer config unset sync.detection
\`\`\`

Values are read as TOML, else as text. A YAML value that several places share (\`&\`, \`<<\`) may refuse the change.

## Shares without SMB

Driver \`local\` switches a link between two folders, for other mounts and for trials. A route whose folder was once a mount is lost while
nothing is mounted there.

\`\`\`toml
[[shares]]
name = "Scratch"
driver = "local"
thunderbolt_path = "~/nas-thunderbolt"
fallback_path = "~/nas-ethernet"
\`\`\`

## Errors

A file is accepted whole or not at all. \`mountaineer config validate\` lists each error with its place, the expected value and a hint. A file has
at most ${LARGEST_FILE_BYTES / 1024} KiB of UTF-8.

Editors complete and check with [config.schema.json](config.schema.json), which the first line of a starter file names.
`,
};

export const configurationSchema: DocumentGenerator = {
  path: "docs/reference/config.schema.json",
  // Arrays of plain values on one line, as the formatter wants them.
  generate: () =>
    `${JSON.stringify(configJsonSchema(), null, 2).replaceAll(/\[\n\s+([^[\]{}]+?)\n\s+\]/g, onOneLine)}\n`,
};

const LINE_WIDTH = 110;

/** A list as the formatter writes it: on one line where it fits. */
function onOneLine(list: string, items: string, at: number, whole: string): string {
  const line = `[${items.replaceAll(/\n\s+/g, " ")}]`;
  const indent = at - whole.lastIndexOf("\n", at) - 1;
  return indent + line.length + 1 <= LINE_WIDTH ? line : list;
}
