<?xml version="1.0" encoding="UTF-8"?>
<!-- What a reader of a page sees, with signs for its structure, which html_text.py makes lines of: U+FDD0 ends a
     paragraph, U+FDD1 a line, U+FDD2 a cell, U+FDD4 is a break; U+FDD3 is a space that stays. Unicode has them for such use, and no text. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="text" encoding="UTF-8"/>

  <xsl:template match="hidden|head|script|style|noscript|template|svg|math|select|textarea|button|iframe|object"/>
  <xsl:template match="hidden|script|style|noscript|template|svg|math|select|textarea|button|iframe|object" mode="cell"/>

  <xsl:template match="p|h1|h2|h3|h4|h5|h6|table|ul|ol|dl|blockquote|pre">
    <xsl:text>&#xFDD0;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD0;</xsl:text>
  </xsl:template>
  <xsl:template match="div|center|tr|caption|dt|dd|section|article|header|footer|main|nav|aside|address|form|fieldset|legend|figure|figcaption|details|summary|title|body">
    <xsl:text>&#xFDD1;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text>
  </xsl:template>
  <xsl:template match="br"><xsl:text>&#xFDD4;</xsl:text></xsl:template>
  <xsl:template match="hr"><xsl:text>&#xFDD1;</xsl:text></xsl:template>
  <xsl:template match="li"><xsl:text>&#xFDD1;- </xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text></xsl:template>

  <!-- A cell is one line, unless it is the only one of its row or holds a table: then it lays out the page. -->
  <xsl:template match="td|th">
    <xsl:choose>
      <xsl:when test="../*[2] and not(.//table)">
        <xsl:apply-templates mode="cell"/>
      </xsl:when>
      <xsl:otherwise><xsl:apply-templates/></xsl:otherwise>
    </xsl:choose>
    <xsl:text>&#xFDD2;</xsl:text>
  </xsl:template>
  <xsl:template match="p|div|br|li|h1|h2|h3|h4|h5|h6|center|ul|ol|dl|dt|dd" mode="cell">
    <xsl:text> </xsl:text><xsl:apply-templates mode="cell"/><xsl:text> </xsl:text>
  </xsl:template>

  <!-- What stands above the line keeps a sign of it: ten to the fifth is no 105, nor a figure with a note another one. -->
  <xsl:template match="sup">
    <xsl:variable name="text" select="normalize-space(.)"/>
    <xsl:variable name="next" select="substring(following-sibling::node()[1], 1, 1)"/>
    <xsl:choose>
      <xsl:when test="$text = '' or contains('|st|nd|rd|th|®|™|SM|TM|', concat('|', $text, '|'))"><xsl:value-of select="$text"/></xsl:when>
      <xsl:when test="contains($text, ' ') or translate($next, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', '') != $next">
        <xsl:value-of select="concat('^{', $text, '}')"/>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="concat('^', $text)"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="sub[number(substring(following-sibling::node()[1], 1, 1)) &gt;= 0]">
    <xsl:value-of select="concat('_{', normalize-space(.), '}')"/>
  </xsl:template>
  <xsl:template match="sup | sub" mode="cell"><xsl:apply-templates select="."/></xsl:template>

  <xsl:template match="pre//text()"><xsl:value-of select="translate(., '&#10; ', '&#xFDD4;&#xFDD3;')"/></xsl:template>
</xsl:stylesheet>
