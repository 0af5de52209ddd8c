// What a share moves and has room for, for all user interfaces. Pure.
import { bytesText, pluralize } from "../../runtime/text/plain-text.ts";
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

/** The link of the route in use: `tb0, Thunderbolt, 40 Gbit/s`; null: not known. */
export function linkText({ active_interface: route, tb_link, fb_link }: ShareStatus): string | null {
  const link = route === "tb" ? tb_link : route === "fallback" ? fb_link : undefined;
  return link === undefined ? null : `${link.device}, ${link.text}`;
}

function spaceText({ free_bytes: free, total_bytes: total }: NonNullable<ShareStatus["space"]>): string {
  return `${bytesText(free)} of ${bytesText(total)} free`;
}
