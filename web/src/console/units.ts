// Numbers for people, in the page's language.
import { duration, number } from "../shared/i18n";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

export function bytes(value: number): string {
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    ++unit;
  }
  return number(value, { style: "unit", unit: UNITS[unit]!, unitDisplay: "short", maximumFractionDigits: unit > 0 && value < 100 ? 1 : 0 });
}

/** A short time, down to tenths of a millisecond. */
export function brief(ms: number): string {
  if (ms >= 10 || ms === 0) return duration(ms);
  return number(ms, { style: "unit", unit: "millisecond", unitDisplay: "short", maximumFractionDigits: 1 });
}

/** A long time: its two largest units. */
export function long(seconds: number): string {
  const unit = (value: number, name: string) => number(Math.floor(value), { style: "unit", unit: name, unitDisplay: "short" });
  if (seconds < 60) return unit(seconds, "second");
  if (seconds < 3600) return `${unit(seconds / 60, "minute")} ${unit(seconds % 60, "second")}`;
  if (seconds < 86_400) return `${unit(seconds / 3600, "hour")} ${unit((seconds % 3600) / 60, "minute")}`;
  return `${unit(seconds / 86_400, "day")} ${unit((seconds % 86_400) / 3600, "hour")}`;
}

/** With enough digits that a few calls are not nothing. */
export function money({ amount, currency }: { amount: number; currency: string }): string {
  return number(amount, { style: "currency", currency, maximumFractionDigits: amount < 1 ? 6 : 2 });
}
