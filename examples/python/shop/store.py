import sqlite3
from pathlib import Path

BACKUP = Path("backups/latest.db")


class Store:
    def __init__(self, path):
        self.connection = sqlite3.connect(path)
        self.connection.execute("create table if not exists basket (customer text, article text, count integer)")

    def save(self, customer, basket):
        rows = [(customer, article, count) for article, (_, count) in basket.lines.items()]
        with self.connection:
            self.connection.executemany("insert into basket values (?, ?, ?)", rows)

    def articles(self, customer):
        query = "select article, count from basket where customer = ? order by article"
        return list(self.connection.execute(query, [customer]))

    def back_up(self):
        BACKUP.parent.mkdir(exist_ok=True)
        with sqlite3.connect(BACKUP) as copy:
            self.connection.backup(copy)
