// The rules of `cwd = "client"`. Opening a folder must not decide what runs. So programs that run others are started
// only in shapes that name their server whatever the folder holds, and with options that are known to look for no code.
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { valueOr } from "../../runtime/errors.ts";
import { CLIENT_FOLDER } from "../schema/value-types.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { asTable, has, invalidValue, listIn, type Table, unexpectedKey } from "./tables.ts";

const CLIENT_CWD = "${client:cwd}";

/** The options that may precede the server: bare, or with a space and a value. */
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
    option:
      /^(?:-y|--yes|-q|--quiet|--offline|--prefer-(?:off|on)line|(?:-p|--package)[ =](?!\.{0,2}\/|\.|~|file:|link:)[^-].*|--)$/,
    server: /^(?!\.{0,2}\/|\.|~|file:|link:)[^-]/,
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
 * version after the name, as in `ruby3.3`. Asked of commands, packages and modules alike.
 */
const RUNS_OTHERS = new RegExp(
  `^(?:${[
    "(?:ba|da|z|k|mk|a|fi|c|tc)?sh|pwsh|busybox|env|nice|nohup|timeout|setsid|stdbuf|xargs|sudo|doas",
    "node|nodejs|npm|npx|pnpm|pnpx|yarn|bun|bunx|deno|corepack|tsx|ts-node",
    "python|pypy|uv|uvx|pip|pipx|pipenv|poetry|pdm|hatch|rye|pixi",
    "ruby|bundle|rake|perl|php|composer|java|mvn|gradle|cargo|go|make|just|dotnet|mix|nix|mise|asdf",
    "unshare|chroot|flock|strace|ltrace|gdb|lldb|expect|parallel|find|watch|entr|script|ssh|docker-compose",
    "cmake|ninja|task|go-task|ant|sbt|bazel|scons|snakemake|lua|luajit|julia|rscript|tclsh|groovy|kotlin|elixir|iex",
    "npm-cli|npx-cli|npm-run-all2?|run-[sp]|ni|ultra-runner|lerna|nx|turbo|wireit|rushx?|gulp|grunt|jake|zx|nodemon",
    "ts-node-(?:esm|dev|script)|tsimp|esno|esmo|esbuild-(?:runner|register)|esrun|jiti|babel-node|sucrase-node|swc-node",
    "vite|vite-node|vitest|jest|mocha|ava|tap|webpack|rollup|parcel|concurrently|wait-on|onchange|chokidar-cli|pm2|forever",
    "supervisor|cross-env(?:-shell)?|dotenv(?:-cli)?|env-cmd|dotenvx|execa-cli|shx|husky|lint-staged|nvm|fnm|volta|n",
    "runpy|pdb|bdb|venv|virtualenv|ensurepip|timeit|c?profile|trace|doctest|unittest|code|asyncio|idlelib|zipapp|compileall",
    "pytest|py\\.test|nose2?|nox|tox|invoke|inv|fabric|fab|poe|poethepoet|doit|duty|taskipy|honcho|circus|coverage",
    "ipython|jupyter|ptpython|bpython|debugpy|pudb|ipdb|pyinstrument|scalene|kernprof|line[-_]profiler|watchfiles|watchmedo",
    "uvicorn|gunicorn|hypercorn|granian|daphne|flask|django-admin|celery|streamlit|ansible(?:-playbook)?|conda|mamba|nodeenv",
  ].join("|")})(?:-?[\\d.]+)?$`,
  "i",
);

/** Their values name packages. */
const PACKAGE_OPTION = /^(?:-p|--package|--from|--with)$/;

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
    const hint = "clients work in different folders, so each needs a separate instance";
    findings.push(
      invalidValue(cwd, "`client` in a shared server", '`instances = "per-client"` with it', hint),
    );
  }
  const hint =
    "the folder is not known beforehand; use `${client:cwd}` in `args` where the server takes its folders there";
  if (has(server, "sandbox"))
    findings.push(unexpectedKey([...at, "sandbox"], '`sandbox` with `cwd = "client"`', hint));
  if (has(backend, "folders")) findings.push(unexpectedKey(cwd, '`cwd = "client"` with `folders`', hint));
  const { command } = server;
  if (typeof command === "string") findings.push(...programFindings(command, args, at));
  return [...findings, ...variableFindings(server, at, common)];
}

/** A package without its version and extras. */
function withoutVersion(named: string): string {
  const head = named.split(/[[=<>~!]/, 1)[0] ?? "";
  const at = head.indexOf("@", Math.max(1, head.lastIndexOf("/") + 1));
  return at === -1 ? head : head.slice(0, at);
}

/**
 * Whether the program, package or module runs others: by its own name, or by that of the package that a path is in. Versions
 * and extras are left out.
 */
function runsOthers(named: string): boolean {
  const inModules =
    /^(?:@[^/]+\/)?([^/]+)/.exec(named.split("/node_modules/").slice(1).at(-1) ?? "")?.[1] ?? "";
  const last = basename(withoutVersion(named));
  const inLibrary = /\/python[\d.]*\//.test(named) ? last.replace(/\.py$/, "") : "";
  return [last, last.split(".", 1)[0] ?? "", inModules, inLibrary].some(
    (name, index) => !(index === 1 && named.startsWith("/")) && RUNS_OTHERS.test(name),
  );
}

/** The file that a link leads to; the path itself if that cannot be read. */
function realFile(path: string): string {
  return valueOr(() => (path.startsWith("/") ? realpathSync(path) : path), path);
}

/** A path below the folder where the program starts, or one after `--option=`. */
function isRelativePath(text: string): boolean {
  const value = text.replace(/^-[^=]*=/, "");
  if (value.includes(CLIENT_CWD) || /^(?:-|\/|~\/|\$\{|@[\w.-]+\/|[a-z][\w+.-]*:)/i.test(value)) return false;
  return /^\.{1,2}$|\/|^[^\s:]+\.(?:[cm]?[jt]sx?|pyw?|pyz|rb|php|sh|pl|lua|jar|wasm)$/i.test(value);
}

function programFindings(command: string, args: readonly string[], at: KeyPath): Finding[] {
  const program = basename(command);
  if (command.includes(CLIENT_CWD) || (command.includes("/") && !command.startsWith("/"))) {
    const hint = "a client that opens the folder must not choose which program runs";
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
  const isRunner = shape === undefined && (runsOthers(command) || runsOthers(realFile(command)));
  if (isRunner || SHIM.test(command)) {
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
  const { index, isServer } = shape === undefined ? { index: -1, isServer: true } : serverIn(shape, args);
  if (!isServer) {
    const found = "a command line that may run code from the client's folder";
    const expected =
      "a package, `-m` or an absolute path, with nothing before it but options that look for no code";
    return [invalidValue(index < args.length ? [...at, "args", index] : [...at, "command"], found, expected)];
  }
  const isModule = args[index] === "-m";
  const end = isModule ? index + 1 : index;
  // The values of options name packages that are installed with the server, and are programs as well.
  const runner = args.slice(0, end + 1).findIndex((text, position) => {
    const name = text.replace(/^(?:--?[a-z]+=)/, "");
    const isNamed = position >= index || text.includes("=") || PACKAGE_OPTION.test(args[position - 1] ?? "");
    return isNamed && (runsOthers(name) || runsOthers(realFile(name)));
  });
  if (runner !== -1) {
    const found = `\`${args[runner]}\`, which runs other programs`;
    const hint =
      "it would run what a client's folder holds; a server is a package, a module or a separate script";
    return [invalidValue([...at, "args", runner], found, "the server's own package, module or script", hint)];
  }
  const relative = args.findIndex((text, position) => position > end && isRelativePath(text));
  if (relative === -1) return [];
  const hint = `below the client's folder, write \`${CLIENT_CWD}/…\``;
  return [invalidValue([...at, "args", relative], "a relative path", "an absolute path", hint)];
}

/** The index of the first argument that is not a known option, and whether it can be the server. */
function serverIn({ option, server }: Shape, args: readonly string[]): { index: number; isServer: boolean } {
  for (let index = 0; index < args.length; index++) {
    const text = args[index] ?? "";
    if (text.includes(CLIENT_CWD)) return { index, isServer: false };
    if (option.test(text)) continue;
    const value = args[index + 1] ?? "";
    if (value.includes(CLIENT_CWD) || !option.test(`${text} ${value}`))
      return { index, isServer: server.test(text) };
    index += 1;
  }
  return { index: args.length, isServer: false };
}

function variableFindings(server: Table, at: KeyPath, common: Table | null): Finding[] {
  const own = asTable(server["env"]) ?? {};
  return Object.entries({ ...asTable(common?.["env"]), ...own }).flatMap(([name, value]) => {
    if (typeof value !== "string") return [];
    if (isAllowed(name, value)) return [];
    const path = name in own ? [...at, "env", name] : [...at, "cwd"];
    const found = `\`${name}\` with a value that may load code from the client's folder`;
    return [invalidValue(path, found, "only absolute paths, and options that load nothing else")];
  });
}

function isAllowed(name: string, value: string): boolean {
  if (UV_SETTING.test(name)) return UV_VALUE.test(value);
  if (NODE_OPTIONS.test(name))
    return value.split(/\s+/).every((option) => option === "" || NODE_OPTION.test(option));
  return !CODE_PATHS.test(name) || value.split(":").every((path) => /^(?:\/|\$\{HOME\}(?:\/|$))/.test(path));
}
