// Texts in the page's languages. A page brings its own dictionaries: `translator(en, ar)`.
import { language, type Language } from "./appearance";
import { useStore } from "./store";

/** Forms of a text that depends on a number, as Intl.PluralRules names them. */
export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Dictionary = Record<string, string | Plural>;

export type Translate<D extends Dictionary> = (key: keyof D & string, values?: Record<string, string | number>) => string;

const rules: Record<Language, Intl.PluralRules> = { en: new Intl.PluralRules("en"), ar: new Intl.PluralRules("ar") };

export function translator<D extends Dictionary>(en: D, ar: { [K in keyof D]: string | Plural }) {
  const dictionaries: Record<Language, { [K in keyof D]: string | Plural }> = { en, ar };
  const t: Translate<D> = (key, values = {}) => {
    const tongue = language.get();
    const entry = dictionaries[tongue][key];
    const text = typeof entry === "string" ? entry : (entry[rules[tongue].select(Number(values.n ?? 0))] ?? entry.other);
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      return value === undefined ? whole : typeof value === "number" ? number(value) : value;
    });
  };
  /** Also draws the caller anew when the language changes. */
  const useTranslate = () => {
    useStore(language);
    return t;
  };
  return { t, useTranslate };
}

export function number(value: number, options?: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat(language.get(), options).format(value);
}

export function clock(at: number): string {
  return new Intl.DateTimeFormat(language.get(), { hour: "2-digit", minute: "2-digit" }).format(at);
}

export function moment(at: number): string {
  return new Intl.DateTimeFormat(language.get(), { dateStyle: "medium", timeStyle: "short" }).format(at);
}

/** A duration for people: 340 ms, 2.4 s, 3 min 5 s. */
export function duration(milliseconds: number): string {
  const unit = (value: number, unit: string, digits = 0) =>
    number(value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits });
  if (milliseconds < 1000) return unit(Math.max(0, Math.round(milliseconds)), "millisecond");
  const seconds = milliseconds / 1000;
  if (seconds < 60) return unit(seconds, "second", seconds < 10 ? 1 : 0);
  return `${unit(Math.floor(seconds / 60), "minute")} ${unit(Math.round(seconds % 60), "second")}`;
}
