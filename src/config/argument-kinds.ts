// Finds the words of a command that decide what runs: programs, packages, images and hosts. Pure.

const SHELL = /^(?:(?:ba|da|z|k|fi)?sh|cmd|powershell|pwsh)$/;
const CONTAINERS = /^(?:docker|podman|nerdctl|finch)$/;
/** Programs that start what their operand names. */
const LAUNCHER =
  /^(?:npx|pnpx|bunx|uvx|pipx|npm|pnpm|yarn|bun|deno|uv|go|cargo|node|tsx|java|ruby|php|perl|python[\d.]*|ssh|env|cross-env|sudo|doas|exec|nohup|nice|timeout)$/;
/** Operands of a launcher before what it starts. */
const SUBCOMMAND = /^(?:run|exec|dlx|x|tool|create|compose|start|container|install|eval|[\d.]+[smh]?)$/;
/** Options without a value; after any other option, the next word may be its value or an operand. */
const LONG_FLAG =
  /^--(?:rm|init|interactive|tty|detach|privileged|read-only|publish-all|yes|quiet|silent|verbose|offline|prefer-offline|isolated|refresh|latest|watch|no-[\w-]+|allow-[\w-]+|unstable[\w-]*|enable-[\w-]+|experimental-[\w-]+)$/;
const FLAGS = {
  container: /^-[itdPq]+$/,
  ssh: /^-[46AaCfGgKkMNnqsTtVvXxYy]+$/,
  other: /^-(?:[yqsvnuIBOSEAdib]+|m|jar)$/,
} as const;
/** Options whose value is a program's text: `sh -c`, `node -e`, `cmd /c`. */
const CODE_OPTION = /^(?:-[a-z]*c|-[er]|--(?:eval|call|exec|command)|-[Ee](?:nc)\w*|-Command|\/[cC])$/;
const ASSIGNMENT = /^[A-Za-z_]\w*=/;
const ENVIRONMENT_OPTION = /^(?:-e|--env|--build-arg)$/;
/** Turns a text that looks random into a program. */
const DECODER = /\b(?:base64|xxd|openssl|eval|source|atob|b64decode|fromhex|fromCharCode|Buffer\.from)\b/;

type ArgumentKind = "runs" | "code" | "environment" | "other";

/**
 * What each argument of the command is: `runs` names a program, package, image or host; `code` is text that a program
 * runs; `environment` is `NAME=VALUE` as a whole.
 */
export function argumentKinds(command: string, args: readonly string[]): readonly ArgumentKind[] {
  const all = [command, ...args];
  const runs = new Set(runningOperands(all));
  return args.map((argument, index) => {
    const before = args[index - 1] ?? "";
    const names = all.slice(0, index + 1).map(programName);
    const isContainer = names.some((name) => CONTAINERS.test(name));
    const isEnvironment = isContainer
      ? ENVIRONMENT_OPTION.test(before)
      : /^(?:cross-)?env$/.test(names[0] ?? "");
    if (isEnvironment && ASSIGNMENT.test(argument)) return "environment";
    if (CODE_OPTION.test(before) && names.some((name) => isLauncher(name))) return "code";
    return runs.has(index + 1) ? "runs" : "other";
  });
}

/**
 * The parts of a text that name what runs, as offsets. In code, also the programs of a shell's commands; code that decodes
 * its program runs as a whole.
 */
export function runningSpans(
  text: string,
  isCode: boolean,
): readonly (readonly [from: number, to: number])[] {
  if (isCode && DECODER.test(text)) return [[0, text.length]];
  const commands: RegExpExecArray[][] = [[]];
  for (const found of text.matchAll(/(?:["']?\(hidden\)["']?|[^\s;&|(){}"'`<>])+|[;&|(){}\n`]/g)) {
    if (/^[;&|(){}\n`]$/.test(found[0])) commands.push([]);
    else if (!ASSIGNMENT.test(found[0]) || commands.at(-1)?.length !== 0) commands.at(-1)?.push(found);
  }
  return commands.flatMap((parts) => {
    const operands = runningOperands(parts.map(([part]) => part));
    return [...(isCode ? [0] : []), ...operands].flatMap((at) => {
      const part = parts[at];
      return part === undefined ? [] : [[part.index, part.index + part[0].length] as const];
    });
  });
}

/** The positions of the operands of launchers among the words of a command, whose first word is a program. */
function runningOperands(parts: readonly string[]): readonly number[] {
  const found: number[] = [];
  /** Null: the words that follow are arguments of what runs. */
  let flags: RegExp | null = null;
  let mayLaunch = true;
  let isAfterOption = false;
  for (const [index, part] of parts.entries()) {
    if (part.startsWith("-") && part !== "--") {
      if (flags !== FLAGS.container && CODE_OPTION.test(part)) flags = null;
      isAfterOption = !(part.includes("=") || LONG_FLAG.test(part) || (flags ?? FLAGS.other).test(part));
      continue;
    }
    const name = programName(part);
    if (mayLaunch && isLauncher(name) && !isAfterOption) {
      if (index > 0) found.push(index);
      flags = CONTAINERS.test(name) ? FLAGS.container : name === "ssh" ? FLAGS.ssh : FLAGS.other;
    } else if (flags !== null && !ASSIGNMENT.test(part)) {
      found.push(index);
      if (!isAfterOption && !SUBCOMMAND.test(part) && part !== "--") flags = null;
    } else if (index === 0) mayLaunch = false;
    if (part === "--") mayLaunch = true;
    isAfterOption = false;
  }
  return found;
}

function isLauncher(name: string): boolean {
  return SHELL.test(name) || CONTAINERS.test(name) || LAUNCHER.test(name);
}

/** `node` for `/usr/bin/node`. */
export function programName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.(?:exe|cmd|bat)$/i, "");
}
