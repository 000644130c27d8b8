// Light or dark, and the language with its direction: kept in this browser, applied to the document.
import { kept, Store } from "./store";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "ar";

const keptTheme = kept("parlance.theme");
const keptLanguage = kept("parlance.language");

export const theme = new Store<Theme>(asTheme(keptTheme.get()));
export const language = new Store<Language>(asLanguage(keptLanguage.get() ?? navigator.language));

function asTheme(text: string | null): Theme {
  return text === "light" || text === "dark" ? text : "system";
}

function asLanguage(text: string): Language {
  return text.toLowerCase().startsWith("ar") ? "ar" : "en";
}

export function directionOf(tongue: Language): "ltr" | "rtl" {
  return tongue === "ar" ? "rtl" : "ltr";
}

function show(): void {
  const root = document.documentElement;
  if (theme.get() === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.get();
  root.lang = language.get();
  root.dir = directionOf(language.get());
}

/** Applies what is kept, and from now on every change, also one of another tab. */
export function startAppearance(): void {
  show();
  theme.watch((value) => {
    keptTheme.set(value);
    show();
  });
  language.watch((value) => {
    keptLanguage.set(value);
    show();
  });
  addEventListener("storage", ({ key, newValue }) => {
    if (key === "parlance.theme") theme.set(asTheme(newValue));
    if (key === "parlance.language" && newValue) language.set(asLanguage(newValue));
  });
}
