// Times as people read them, in this machine's time zone. An invalid time gives `NaN`s.

/** `2026-11-20` */
export function localDay(at: Date): string {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

/** `14:32:05` */
export function localClock(at: Date): string {
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
}

/** `14:32:05.123` */
export function exactLocalClock(at: Date): string {
  return `${localClock(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function twoDigits(part: number): string {
  return String(part).padStart(2, "0");
}
