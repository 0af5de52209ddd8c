// What the browser's window is like now.
import { useEffect, useState } from "preact/hooks";

/** Whether a media query such as "(max-width: 48rem)" applies. */
export function useMedia(text: string): boolean {
  const [applies, setApplies] = useState(() => matchMedia(text).matches);
  useEffect(() => {
    const query = matchMedia(text);
    const update = (): void => setApplies(query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, [text]);
  return applies;
}
