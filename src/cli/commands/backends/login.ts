// The command `mountaineer backends login`.
import { Option } from "commander";
import type { LoginPerson, LoginReport } from "../../../api/backend-sign-in.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import type { CommandContext, CommandDefinition, GivenOptions } from "../../input/command.ts";
import { addJsonOption, readFlag } from "../../input/options.ts";
import { paintFor } from "../../views/terminal-style.ts";

export const backendsLoginCommand: CommandDefinition = {
  name: "backends login",
  summary: "sign in to a backend's server in the browser",
  description:
    "Opens the page of the server's authorization server, and prints its address as well. The tokens are kept in this " +
    "home, encrypted with a key from the keyring where there is one, and the daemon renews them. Repeat it when a " +
    "condition asks for it, or for more scopes.",
  examples: [
    { command: "mountaineer backends login tickets", does: "sign in, in the browser of this machine" },
    { command: "mountaineer backends login tickets --device", does: "with a code, at any other device" },
    {
      command: "mountaineer backends login tickets --no-browser",
      does: "over SSH: paste where the browser ended",
    },
  ],
  exits: { 2: "there is no backend of that name" },
  addOptions(command) {
    command
      .argument("<name>", "the backend")
      .addOption(new Option("--device", "sign in with a code at another device, where the server offers it"))
      .addOption(
        new Option(
          "--no-browser",
          "only print the address, and read the one that the browser ended at",
        ).conflicts("device"),
      )
      .option("--scope <scope...>", "ask for these scopes, too");
    addJsonOption(command);
  },
  async run(context, options, [name = ""]) {
    const { openSignIn } = await import("../../in-process/open.ts");
    const order = { backend: name, way: wayOf(options), moreScopes: scopesOf(options) };
    const report = await (await openSignIn(context)).login(
      order,
      personAt(context, order.way),
      context.signal,
    );
    if (readFlag(options, "json")) context.print(`${JSON.stringify(report, null, 2)}\n`);
    else tell(context, report);
    const { tellDaemon } = await import("../../sessions/sign-in-notice.ts");
    await tellDaemon(context, name);
    return 0;
  },
};

function wayOf(options: GivenOptions): "browser" | "paste" | "device" {
  if (readFlag(options, "device")) return "device";
  return options["browser"] === false ? "paste" : "browser";
}

function scopesOf(options: GivenOptions): readonly string[] {
  const given = options["scope"];
  return Array.isArray(given) ? given.map(String) : [];
}

function personAt(context: CommandContext, way: "browser" | "paste" | "device"): LoginPerson {
  const { note, stdin } = context;
  return {
    visit(address) {
      note(`Sign in here: ${harmless(address)}`);
      if (way === "browser") void openBrowser(address);
    },
    showCode(code, address, completeAddress) {
      note(
        `Open ${harmless(completeAddress ?? address)} on any device, and enter the code ${harmless(code)}`,
      );
    },
    async paste(signal) {
      const { readFirstLine } = await import("../../input/standard-input.ts");
      const question = "Paste the address at which the browser ended, even if it shows an error: ";
      return context.ask === null ? readFirstLine("address", { stdin, signal }) : context.ask(question);
    },
  };
}

/** That there is none is no failure: the address was printed. */
async function openBrowser(address: string): Promise<void> {
  const { openInBrowser } = await import("../../sessions/web-browser.ts");
  try {
    await openInBrowser(address);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
  }
}

function tell({ print, stdoutStyle }: CommandContext, report: LoginReport): void {
  const paint = paintFor(stdoutStyle);
  const { backend, issuer, scopes, renews_itself } = report;
  const what = scopes === null ? "" : `, with the scopes ${harmless(scopes.join(" "))}`;
  print(
    `${paint.green(paint.symbols.good)} ${paint.bold(harmless(backend))}  is signed in at ${harmless(issuer)}${what}\n`,
  );
  if (renews_itself) return;
  const until = report.expires_at === null ? "" : `, ${report.expires_at}`;
  print(`  The server gave nothing to renew it with: sign in again when it ends${until}.\n`);
}
