// What a share moves and has room for, for all user interfaces. Pure.
import { bytesText, durationText, pluralize } from "../../runtime/text/plain-text.ts";
import type { ShareStatus } from "../contract/contract.ts";

/** Slower traffic is keep-alives and checks, bytes a second. */
export const LEAST_RATE = 10_000;

/** `2 connections`, `1.2 GB read`, `moved 3 times`, `104 MB/s`, `1.2 TB of 4.0 TB free`. */
export function shareFacts({ moves, bytes_per_sec: rate = 0, space }: ShareStatus): readonly string[] {
  const facts: string[] = [];
  if (moves !== undefined) {
    const { connections, bytes_from_server: read, bytes_to_server: written, count } = moves;
    facts.push(
      pluralize(connections, "connection"),
      `${bytesText(read)} read`,
      `${bytesText(written)} written`,
    );
    if (count > 0) facts.push(`moved ${pluralize(count, "time")}`);
  }
  if (rate >= LEAST_RATE) facts.push(`${bytesText(rate)}/s`);
  if (space !== undefined) facts.push(spaceText(space));
  return facts;
}

/** `tb0, Thunderbolt, 40 Gbit/s`, `1.2 TB of 4.0 TB free`, `moved 3 times under open files, which waited 0.2 s at most`. */
export function shareSummary({
  active_interface: route,
  tb_link,
  fb_link,
  space,
  moves,
}: ShareStatus): readonly string[] {
  const link = route === "tb" ? tb_link : route === "fallback" ? fb_link : undefined;
  return [
    ...(link === undefined ? [] : [`${link.device}, ${link.text}`]),
    ...(space === undefined ? [] : [spaceText(space)]),
    ...(moves === undefined || moves.count === 0
      ? []
      : [
          `moved ${pluralize(moves.count, "time")} under open files, which waited ${durationText(moves.longest_wait_ms)} at most`,
        ]),
  ];
}

function spaceText({ free_bytes: free, total_bytes: total }: NonNullable<ShareStatus["space"]>): string {
  return `${bytesText(free)} of ${bytesText(total)} free`;
}
