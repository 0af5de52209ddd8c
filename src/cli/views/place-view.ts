// Aliases and shares' settings as text. Pure.

import type { AliasStatus, ShareStatus } from "../../api/contract/contract.ts";
import { shareLabel } from "../../api/labels/share-labels.ts";
import { nameColumns } from "../../api/views/view-lines.ts";
import { type Paint, paintFor, type TerminalStyle, tonePaint } from "../../runtime/text/paint.ts";
import { padded, printable } from "../../runtime/text/plain-text.ts";

const GAP = "  ";
const LONGEST_NAME = 32;

interface Favorite {
  readonly name: string;
  readonly thunderbolt: string | null;
  readonly fallback: string | null;
  readonly stable_path: string;
  readonly aliases: readonly string[];
}

export function renderAliases(aliases: readonly AliasStatus[], style: TerminalStyle): string {
  const paint = paintFor(style);
  const width = nameColumns(aliases, LONGEST_NAME);
  return aliases
    .flatMap((alias) => {
      const { name, path } = alias;
      const target = `${alias.share}/${alias.target_subpath}`;
      const lead = `${markOf(alias, paint)} ${paint.bold(padded(printable(name), width))}`;
      const line = `${lead}${GAP}${printable(target)}${GAP}${paint.dim(printable(path))}`;
      const wrong = wrongText(alias);
      return wrong === null ? [line] : [line, `    ${wrong}`];
    })
    .map((line) => `${line}\n`)
    .join("");
}

function markOf({ link }: AliasStatus, { symbols, green, yellow, red }: Paint): string {
  if (link === "right") return green(symbols.good);
  return link === "missing" ? yellow(symbols.warning) : red(symbols.bad);
}

function wrongText({ link, detail }: AliasStatus): string | null {
  switch (link) {
    case "right":
      return null;
    case "missing":
      return `${detail === null ? "its link is not there" : printable(detail)}; the daemon makes it: mountaineer up`;
    case "taken":
      return `${printable(detail ?? "something else is there")}; it is left as it is`;
    case "blocked":
      return printable(detail ?? "its link cannot be made");
  }
}

export function renderShares(
  favorites: readonly Favorite[],
  shares: readonly ShareStatus[],
  style: TerminalStyle,
): string {
  const paint = paintFor(style);
  const width = nameColumns(favorites, LONGEST_NAME);
  return favorites
    .flatMap((favorite) => {
      const { thunderbolt, fallback, aliases } = favorite;
      const hosts = [thunderbolt, fallback]
        .flatMap((host) => (host === null ? [] : printable(host)))
        .join(" | ");
      const name = paint.bold(padded(printable(favorite.name), width));
      const state = stateText(shares.find((share) => share.name === favorite.name) ?? null, paint);
      const line = `${name}${GAP}${state}${GAP}${hosts}${GAP}${paint.dim(printable(favorite.stable_path))}`;
      const below = aliases.map((alias) => `    ${paint.dim("alias")} ${printable(alias)}`);
      return [line, ...below];
    })
    .map((line) => `${line}\n`)
    .join("");
}

function stateText(share: ShareStatus | null, paint: Paint): string {
  if (share === null) return paint.dim("no daemon runs");
  const { text, tone } = shareLabel(share);
  return tonePaint(tone, paint).style(text);
}
