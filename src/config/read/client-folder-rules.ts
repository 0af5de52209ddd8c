// The rules of `cwd = "client"`. Whoever opens a folder must not choose what runs. So programs that run others are started
// only in shapes that name their server whatever the folder holds, and with options that are known to look for no code.
import { basename } from "node:path";
import { CLIENT_FOLDER } from "../schema/value-types.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { asTable, has, invalidValue, listIn, type Table, unexpectedKey } from "./tables.ts";

const CLIENT_CWD = "${client:cwd}";

/** What may stand before the server: an option alone, or with a space and its value. */
interface Shape {
  readonly program: RegExp;
  readonly option: RegExp;
  readonly server: RegExp;
}

const NODE_OPTION =
  /^--(?:(?:no|trace|use)-[\w-]+|enable-source-maps|experimental-strip-types|max-[\w-]+=\d+|(?:import|require|env-file)=\/.*)$/;
/** A name, as in `x[a]==1.2`, or an address. uv takes what looks like a path for a folder, and what ends so for a file. */
const UV_FILE = String.raw`\S*\.(?:whl|zip|tar|tgz|tbz|txz|gz|bz2|xz|lz|lzma|zst)(?:$|\[)`;
const UV_PACKAGE = String.raw`(?:(?!${UV_FILE})[A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?(?:(?:@|[=<>~!]=?)[\w.*]+)?|(?:git\+)?https://.+)`;

/** The launcher keeps npx itself out of the folder, and Python's search for modules. */
const SHAPES: readonly Shape[] = [
  {
    program: /^npx$/,
    option: /^(?:-y|--yes|-q|--quiet|--offline|--prefer-(?:off|on)line|(?:-p|--package)[ =][^-].*|--)$/,
    server: /^[^-]/,
  },
  {
    program: /^uvx$/,
    option: new RegExp(
      `^(?:-q|--quiet|--offline|--isolated|--(?:from|with)[ =]${UV_PACKAGE}|(?:-p|--python)[ =][\\d.]+)$`,
    ),
    server: new RegExp(`^${UV_PACKAGE}$`),
  },
  { program: /^node$/, option: NODE_OPTION, server: /^\// },
  {
    program: /^python[\d.]*$/,
    option: /^-(?:[bBdEIOPqsSuv]+|Xutf8|Xdev)$/,
    server: /^(?:-m$|\/)/,
  },
];

/**
 * They run what their arguments name, or programs, tasks and modules that they find in the folder where they start. Also with a
 * version after the name, as in `ruby3.3`.
 */
const RUNS_OTHERS = new RegExp(
  `^(?:${[
    "(?:ba|da|z|k|mk|a|fi|c|tc)?sh|pwsh|busybox|env|nice|nohup|timeout|setsid|stdbuf|xargs|sudo|doas",
    "node|nodejs|npm|npx|pnpm|pnpx|yarn|bun|bunx|deno|corepack|tsx|ts-node",
    "python|pypy|uv|uvx|pip|pipx|pipenv|poetry|pdm|hatch|rye|pixi",
    "ruby|bundle|rake|perl|php|composer|java|mvn|gradle|cargo|go|make|just|dotnet|mix|nix|mise|asdf",
  ].join("|")})(?:-?[\\d.]+)?$`,
  "i",
);

/** They ask a file of the folder where they start which program they stand for. */
const SHIM = /(?:asdf|mise)\/shims\//;

/** Variables with paths of code, each of which must be absolute. */
const CODE_PATHS =
  /^(?:HOME|NODE_PATH|PYTHON(?:PATH|HOME|STARTUP|PYCACHEPREFIX|USERBASE)|(?:LD|DYLD|XDG)_\w+|BASH_ENV|ENV|(?:PERL5|RUBY)(?:LIB|OPT)|JAVA_TOOL_OPTIONS)$/;
/** Settings of uv, of which many may be paths. */
const UV_SETTING = /^UV_/;
const UV_VALUE = /^(?:(?:\/|\$\{HOME\}\/|https:\/\/).*|[\d.]+|true|false)$/;
const NODE_OPTIONS = /^(?:npm_config_)?node_options$/i;

/** `common`: the table of `[backend_defaults]`. `at`: the path of the backend's or route's table. */
export function clientFolderFindings(
  server: Table,
  at: KeyPath,
  backend: Table,
  common: Table | null,
): Finding[] {
  const args = listIn(server, "args").map((one) => (typeof one === "string" ? one : ""));
  if (server["cwd"] !== CLIENT_FOLDER) {
    const index = args.findIndex((text) => text.includes(CLIENT_CWD));
    const found = `\`${CLIENT_CWD}\` without \`cwd = "client"\``;
    return index === -1
      ? []
      : [invalidValue([...at, "args", index], found, 'another text, or `cwd = "client"`')];
  }
  const cwd = [...at, "cwd"];
  const findings: Finding[] = [];
  if ((backend["instances"] ?? common?.["instances"]) !== "per-client") {
    const hint = "clients work in different folders, so each needs an instance of its own";
    findings.push(
      invalidValue(cwd, "`client` in a shared server", '`instances = "per-client"` beside it', hint),
    );
  }
  const hint =
    "the folder is not known beforehand; use `${client:cwd}` in `args` where the server takes its folders there";
  if (has(server, "sandbox"))
    findings.push(unexpectedKey([...at, "sandbox"], '`sandbox` beside `cwd = "client"`', hint));
  if (has(backend, "folders")) findings.push(unexpectedKey(cwd, '`cwd = "client"` beside `folders`', hint));
  const { command } = server;
  if (typeof command === "string") findings.push(...programFindings(command, args, at));
  return [...findings, ...variableFindings(server, at, common)];
}

function programFindings(command: string, args: readonly string[], at: KeyPath): Finding[] {
  const program = basename(command);
  if (command.includes(CLIENT_CWD) || (command.includes("/") && !command.startsWith("/"))) {
    const hint = "whoever opens the folder must not choose what runs";
    return [
      invalidValue(
        [...at, "command"],
        "a program in the client's folder",
        "a name, or an absolute path",
        hint,
      ),
    ];
  }
  const shape = SHAPES.find((one) => one.program.test(program));
  if ((shape === undefined && RUNS_OTHERS.test(program)) || SHIM.test(command)) {
    const hint =
      "it would run what a client's folder holds; give the server's own program: a script that is executable is one";
    const found = "a program that runs others";
    return [
      invalidValue(
        [...at, "command"],
        found,
        "the server's own program, `npx`, `uvx`, `node` or `python`",
        hint,
      ),
    ];
  }
  const index = shape === undefined ? null : misplaced(shape, args);
  if (shape === undefined || index === null) return [];
  const found = "what may run code of the client's folder";
  const expected =
    "a package, `-m` or an absolute path, with nothing before it but options that look for no code";
  return [invalidValue(index < args.length ? [...at, "args", index] : [...at, "command"], found, expected)];
}

/** The index of the first argument that is neither a known option nor the server; null: the server is reached. */
function misplaced({ option, server }: Shape, args: readonly string[]): number | null {
  for (let index = 0; index < args.length; index++) {
    const text = args[index] ?? "";
    if (text.includes(CLIENT_CWD)) return index;
    if (option.test(text)) continue;
    const value = args[index + 1] ?? "";
    if (value.includes(CLIENT_CWD) || !option.test(`${text} ${value}`))
      return server.test(text) ? null : index;
    index += 1;
  }
  return args.length;
}

function variableFindings(server: Table, at: KeyPath, common: Table | null): Finding[] {
  const own = asTable(server["env"]) ?? {};
  return Object.entries({ ...asTable(common?.["env"]), ...own }).flatMap(([name, value]) => {
    if (typeof value !== "string") return [];
    if (isHarmless(name, value)) return [];
    const path = name in own ? [...at, "env", name] : [...at, "cwd"];
    const found = `\`${name}\` with what may load code of the client's folder`;
    return [invalidValue(path, found, "absolute paths alone, and options that load nothing else")];
  });
}

function isHarmless(name: string, value: string): boolean {
  if (UV_SETTING.test(name)) return UV_VALUE.test(value);
  if (NODE_OPTIONS.test(name))
    return value.split(/\s+/).every((word) => word === "" || NODE_OPTION.test(word));
  return !CODE_PATHS.test(name) || value.split(":").every((path) => /^(?:\/|\$\{HOME\}(?:\/|$))/.test(path));
}
